import type { SignatureScheme } from '../../cms/keys.ts';
import { unreachable } from '../../errors.ts';
import { limits } from '../../limits.ts';
import { FailureError, refused } from '../failures.ts';
import type { Failure } from '../messages.ts';
import type { Operation } from '../operation.ts';
import { frameHead, LENGTH_OCTETS } from './frames.ts';
import { keyTransportCode, readKeyTransport, readSignature, signatureCode } from './scheme-codes.ts';

/**
 * Uses of keys as octets, on the pipe of one session: a frame for each request, and one for its answer, in the same order. No part
 * of a request is interpreted beyond its shape; both ends take anything else for the end of the conversation.
 *
 *     request   id (4)  kind (1)  key (32)  parameters  data
 *     answer    id (4)  0         octets
 *               id (4)  1         Failure as JSON
 */

const KINDS = { sign: 1, decrypt: 2, agree: 3, decapsulate: 4 } as const;
const INPUTS = { message: 0, digest: 1 } as const;
const KEY_OCTETS = 32;
const HEAD_OCTETS = 4 + 1 + KEY_OCTETS;
const ID_AT = LENGTH_OCTETS;
const KIND_AT = ID_AT + 4;
const KEY_AT = KIND_AT + 1;
export const DONE = 0;
export const FAILED = 1;
export const ANSWER_HEAD_OCTETS = 5;
/** Ids go round. */
export const IDS = 2 ** 32;

/** Data up to so many octets is copied behind what stands in front of it, for one write; longer data is a piece of its own. */
const COPIED_OCTETS = 4_096;

/**
 * A request, in pieces to be written one after another.
 *
 * @throws FailureError `key.refused` for a key that has no such name, and for data beyond `limits.keys.requestOctets`
 */
export function requestFrame(id: number, operation: Operation): Buffer[] {
  const { parameters, data } = partsOf(operation);
  const length = HEAD_OCTETS + parameters.length + data.length;
  if (length > limits.keys.requestOctets) throw new FailureError(refused(`${length} octets for one use`));
  const copied = data.length <= COPIED_OCTETS ? data.length : 0;
  const frame = Buffer.allocUnsafe(LENGTH_OCTETS + HEAD_OCTETS + parameters.length + copied);
  frame.writeUInt32BE(length, 0);
  frame.writeUInt32BE(id, ID_AT);
  frame[KIND_AT] = KINDS[operation.kind];
  // What is no hexadecimal digit ends the writing.
  if (operation.key.length !== 2 * KEY_OCTETS || frame.write(operation.key, KEY_AT, 'hex') !== KEY_OCTETS) {
    throw new FailureError(refused('a key that is not named by a digest'));
  }
  frame.set(parameters, KEY_AT + KEY_OCTETS);
  if (copied === 0) return [frame, data];
  frame.set(data, KEY_AT + KEY_OCTETS + parameters.length);
  return [frame];
}

function partsOf(operation: Operation): { parameters: Buffer; data: Buffer } {
  switch (operation.kind) {
    case 'sign': {
      return {
        parameters: signatureParameters(operation.scheme, operation.input),
        data: view(operation.data),
      };
    }
    case 'decrypt':
      return { parameters: keyTransportCode(operation.scheme), data: view(operation.encryptedKey) };
    case 'agree':
      return { parameters: Buffer.alloc(0), data: view(operation.originator) };
    case 'decapsulate':
      return { parameters: Buffer.alloc(0), data: view(operation.ciphertext) };
    default:
      return unreachable(operation);
  }
}

/** A key signs by few schemes, and by the same objects each time. */
const knownParameters = new WeakMap<SignatureScheme, Record<keyof typeof INPUTS, Buffer>>();

function signatureParameters(scheme: SignatureScheme, input: keyof typeof INPUTS): Buffer {
  let known = knownParameters.get(scheme);
  if (known === undefined) {
    const code = [...signatureCode(scheme)];
    known = {
      message: Buffer.from([...code, INPUTS.message]),
      digest: Buffer.from([...code, INPUTS.digest]),
    };
    knownParameters.set(scheme, known);
  }
  return known[input];
}

function view(octets: Uint8Array): Buffer {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
}

/** The content of a request's frame. null: not a request. The data is a view of the frame. */
export function readRequest(frame: Buffer): { id: number; operation: Operation } | null {
  if (frame.length < HEAD_OCTETS) return null;
  const id = frame.readUInt32BE(0);
  const key = frame.toString('hex', 5, HEAD_OCTETS);
  const rest = frame.subarray(HEAD_OCTETS);
  switch (frame[4]) {
    case KINDS.sign: {
      const signature = readSignature(rest);
      if (signature === null) return null;
      const { scheme, octets } = signature;
      const code = rest[octets];
      if (code !== INPUTS.message && code !== INPUTS.digest) return null;
      const input = code === INPUTS.message ? 'message' : 'digest';
      return { id, operation: { kind: 'sign', key, scheme, input, data: rest.subarray(octets + 1) } };
    }
    case KINDS.decrypt: {
      const transport = readKeyTransport(rest);
      if (transport === null) return null;
      const { scheme, octets } = transport;
      return { id, operation: { kind: 'decrypt', key, scheme, encryptedKey: rest.subarray(octets) } };
    }
    case KINDS.agree:
      return { id, operation: { kind: 'agree', key, originator: rest } };
    case KINDS.decapsulate:
      return { id, operation: { kind: 'decapsulate', key, ciphertext: rest } };
    default:
      return null;
  }
}

export type Answer = { id: number; octets: Buffer } | { id: number; failure: Failure };

/** One answer, ready to be written. What does not fit is a failure. */
export function answerFrame(answer: Answer): Buffer {
  const { answerOctets } = limits.keys;
  const content = 'octets' in answer ? answer.octets : Buffer.from(JSON.stringify(answer.failure));
  const length = ANSWER_HEAD_OCTETS + content.length;
  if (length > answerOctets) {
    return answerFrame({ id: answer.id, failure: refused(`${content.length} octets as an answer`) });
  }
  const head = Buffer.alloc(ANSWER_HEAD_OCTETS);
  head.writeUInt32BE(answer.id, 0);
  head[4] = 'octets' in answer ? DONE : FAILED;
  return Buffer.concat([frameHead(length, answerOctets), head, content]);
}
