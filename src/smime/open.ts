import { decompress, inflationBound } from '../cms/compressed-data.ts';
import { contentTypeOfInfo } from '../cms/content-info.ts';
import { decrypt } from '../cms/decrypt.ts';
import type { DecryptionKey } from '../cms/keys.ts';
import { isUnreadable } from '../cms/malformed.ts';
import { contentTypes } from '../cms/oids.ts';
import { readSignedData } from '../cms/signed-data.ts';
import { SealgateError, unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import { type FromHeader, readFrom } from '../mail/address.ts';
import { canonicalLines } from '../mail/canonical.ts';
import { readMessage } from '../mail/entity-tree.ts';
import { asBuffer } from '../mail/header.ts';
import { withoutLegacyDisplay } from '../mail/header-protection-display.ts';
import type { Message } from '../mail/message.ts';
import { decodeBody } from '../mail/transfer-encoding.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { RevocationChecker } from '../pki/revocation-checker.ts';
import { readClearSigned } from './clear-signed.ts';
import { judgedByFrom, type OpenedHeader, openHeader } from './protected-header.ts';
import { isDeclaredCms, recognise } from './recognise.ts';
import type { Layer, SecurityReport } from './report.ts';
import { unverifiable, type VerificationContext, verifySigned } from './verify.ts';

/**
 * Opens a message layer by layer, outermost first: decrypts, unwraps, verifies, and reports what it found.
 *
 * Holds: only the root entity is opened, and what that reveals. A protected part next to other parts never is: who put
 * the others there would get the plaintext into a frame of his own (EFAIL).
 * Must never happen: plaintext of a layer that failed; a failure that says why (RFC 3218 §2.3); content given out that
 * no layer of this message held.
 */

export type OpeningContext = {
  /** Now. */
  at: Date;
  anchors: Iterable<Certificate>;
  /** Intermediates and signers' certificates that may not be in the message; nothing in it is believed. */
  pool: Iterable<Certificate>;
  /** Who finds evidence of revocation; absent: only the CRLs that the message carries are asked. */
  revocation?: RevocationChecker;
};

/** Every key the reader ever held; asked for only when a layer is encrypted, where it is a function. */
export type ReaderKeys = readonly DecryptionKey[] | (() => Promise<readonly DecryptionKey[]>);

export type MessageOpening = {
  /**
   * `as-is`: nothing to take off, the original is to be shown; clear-signed mail is verified and stays as it is.
   * `no-key`: a layer is encrypted to others. `failed`: a layer is damaged.
   */
  outcome: 'as-is' | 'opened' | 'no-key' | 'failed';
  /** What to show: the entity inside (`opened`), else the message itself. */
  entity: Buffer;
  /**
   * Header fields to be shown in the place of those outside, lines (RFC 9788 §4); null: those outside are shown. Only the
   * fields of `header-protection-fields.ts` are among them.
   */
  header: Buffer | null;
  /** The author by the header that is to be shown: whom the report's signatures are judged by. */
  from: FromHeader;
  report: SecurityReport;
};

/** One layer taken off, or the end of the way. */
type Step =
  /** `shown`: what is inside replaces what is shown. A clear-signed entity is shown whole. */
  | { kind: 'inside'; layer: Layer; content: Buffer; shown: boolean }
  | { kind: 'innermost'; layers: readonly Layer[] }
  | { kind: 'no-key' | 'failed'; layers: readonly Layer[] };

const INNERMOST: Step = { kind: 'innermost', layers: [] };

/**
 * @param keys empty for mail that is only to be verified
 * @throws SealgateError only for keys that are away for now (`key.unavailable`, temporary); everything a message can
 *   contain is an outcome
 */
export async function openMessage(
  octets: Uint8Array,
  keys: ReaderKeys,
  context: OpeningContext,
): Promise<MessageOpening> {
  const original = asBuffer(octets);
  const layers: Layer[] = [];
  let outermost: Message | null = null;
  const ends = (outcome: MessageOpening['outcome'], entity: Buffer): MessageOpening => ({
    outcome,
    entity,
    header: null,
    from: outermost === null ? { kind: 'none' } : readFrom(outermost.root.fields),
    report: { layers },
  });
  let shown = original;
  let content = original;
  let verification: VerificationContext | null = null;
  const maxInflated = inflationBound(original.length);
  for (let depth = 0; depth <= limits.cms.layers; depth++) {
    const message = readOrNull(content);
    // Beyond the bounds of what is read as mail: it has no further layers.
    if (message === null) return ends(shown === original ? 'as-is' : 'opened', shown);
    outermost ??= message;
    // The author is who the outermost header names, until a protected one is found.
    verification ??= { ...context, from: readFrom(message.root.fields) };
    const step = await takeOff(message, { keys, verification, maxInflated });
    switch (step.kind) {
      case 'inside':
        layers.push(step.layer);
        content = step.content;
        if (step.shown) shown = step.content;
        break;
      case 'innermost':
        if (step.layers.length === 0) {
          const found = openedHeader(message, outermost, layers, shown !== original);
          if (found !== null) return withHeader(found, layers, message, shown, original);
        }
        layers.push(...step.layers);
        return ends(shown === original ? 'as-is' : 'opened', shown);
      case 'no-key':
      case 'failed':
        layers.push(...step.layers);
        return ends(step.kind, original);
      default:
        unreachable(step);
    }
  }
  // More layers than anybody needs.
  return ends('failed', original);
}

function openedHeader(
  payload: Message,
  { root }: Message,
  layers: readonly Layer[],
  replaces: boolean,
): OpenedHeader | null {
  try {
    return openHeader(payload, root.fields, layers, replaces);
  } catch (error) {
    if (isMailError(error)) return null;
    throw error;
  }
}

function withHeader(
  { header, shown: fields, from, report }: OpenedHeader,
  layers: readonly Layer[],
  payload: Message,
  shown: Buffer,
  original: Buffer,
): MessageOpening {
  return {
    outcome: shown === original ? 'as-is' : 'opened',
    entity: shown === original ? original : contentToShow(header, payload, shown),
    header: fields,
    from,
    report: { layers: judgedByFrom(layers, from), headerProtection: report },
  };
}

/** What is left once the header is shown as one. A clear signature inside stays whole, where nothing has to go from in it. */
function contentToShow(header: OpenedHeader['header'], { octets }: Message, shown: Buffer): Buffer {
  const whole = Buffer.concat([header.contentHeader, octets.subarray(header.body.start, header.body.end)]);
  const content = header.kind === 'cipher' ? withoutLegacyDisplay(whole) : whole;
  const repeats = header.scheme === 'wrapped' || content !== whole;
  return shown === octets || repeats ? content : shown;
}

/** What stays the same from layer to layer. */
type Reading = { keys: ReaderKeys; verification: VerificationContext; maxInflated: number };

async function takeOff(message: Message, reading: Reading): Promise<Step> {
  const kind = recognise(message);
  switch (kind) {
    case 'none':
      return INNERMOST;
    case 'signed-clear':
      return takeOffClearSignature(message, reading.verification);
    case 'enveloped':
    case 'auth-enveloped':
    case 'signed-opaque':
    case 'compressed':
    case 'certs-only':
      return takeOffCms(message, reading);
    default:
      return unreachable(kind);
  }
}

function takeOffClearSignature(message: Message, context: VerificationContext): Promise<Step> {
  const { octets } = message;
  const unclear: Step = { kind: 'innermost', layers: [unverifiable(null, 'clear')] };
  return unlessUnreadable(unclear, async () => {
    const read = readClearSigned(message);
    if (read === null) return unclear;
    const signedData = readSignedData(read.signature);
    const content = octets.subarray(read.content.start, read.content.end);
    // A signature that brings its own content (RFC 8551 §3.5.3.1 has it detached) invites readers to show that one.
    if (signedData.content !== null || signedData.signerInfos.length === 0) {
      return { kind: 'innermost', layers: [unverifiable(signedData, 'clear')] };
    }
    const canonical = canonicalLines(content);
    const contents = canonical === content ? [content] : [content, canonical];
    const layer = await verifySigned(signedData, contents, 'clear', context);
    return { kind: 'inside', layer, content, shown: false };
  });
}

async function takeOffCms(message: Message, reading: Reading): Promise<Step> {
  // A file that only has the name of a CMS object may be anything.
  const unreadable: Step = isDeclaredCms(message.root.mediaType) ? { kind: 'failed', layers: [] } : INNERMOST;
  return unlessUnreadable(unreadable, async () => {
    const cms = decodeBody(message.octets, message.root);
    // What the CMS is counts, not what smime-type says it is.
    switch (contentTypeOfInfo(cms)) {
      case contentTypes.envelopedData:
      case contentTypes.authEnvelopedData:
        return takeOffEncryption(cms, reading.keys);
      case contentTypes.signedData:
        return takeOffOpaqueSignature(cms, reading.verification);
      case contentTypes.compressedData:
        return takeOffCompression(cms, reading.maxInflated);
      default:
        return INNERMOST;
    }
  });
}

async function takeOffEncryption(cms: Buffer, keys: ReaderKeys): Promise<Step> {
  const held = typeof keys === 'function' ? await keys() : keys;
  try {
    const opened = await decrypt(cms, held);
    const { algorithm, authenticated } = opened;
    const layer = { kind: 'encrypted', algorithm, authenticated, outcome: opened.outcome } as const;
    if (opened.outcome !== 'opened') return { kind: opened.outcome, layers: [layer] };
    // RFC 8551 §3.3: a MIME entity; other contents are not mail.
    if (opened.contentType !== contentTypes.data) {
      return { kind: 'failed', layers: [{ ...layer, outcome: 'failed' }] };
    }
    return { kind: 'inside', layer, content: opened.content, shown: true };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    const layer: Layer = { kind: 'encrypted', algorithm: 'unknown', authenticated: false, outcome: 'failed' };
    return { kind: 'failed', layers: [layer] };
  }
}

/** RFC 8551 §3.6. The bound is that of the whole message, so that layers in layers do not multiply. */
async function takeOffCompression(cms: Buffer, maxOctets: number): Promise<Step> {
  const failed: Step = { kind: 'failed', layers: [{ kind: 'compressed', outcome: 'failed' }] };
  try {
    const unpacked = await decompress(cms, maxOctets);
    if (unpacked.outcome === 'failed' || unpacked.contentType !== contentTypes.data) return failed;
    const layer: Layer = { kind: 'compressed', outcome: 'opened' };
    return { kind: 'inside', layer, content: unpacked.content, shown: true };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return failed;
  }
}

async function takeOffOpaqueSignature(cms: Buffer, context: VerificationContext): Promise<Step> {
  const signedData = readSignedData(cms);
  const { content, contentType, signerInfos } = signedData;
  if (signerInfos.length === 0 && (content === null || content.length === 0)) {
    // RFC 8551 §3.8: certificates only.
    return { kind: 'innermost', layers: [await verifySigned(signedData, [], 'opaque', context)] };
  }
  if (content === null || contentType !== contentTypes.data) {
    return { kind: 'innermost', layers: [unverifiable(signedData, 'opaque')] };
  }
  const layer = await verifySigned(signedData, [content], 'opaque', context);
  return { kind: 'inside', layer, content, shown: true };
}

/** null: not readable as mail (bounds). */
function readOrNull(octets: Buffer): Message | null {
  try {
    return readMessage(octets);
  } catch (error) {
    if (isMailError(error)) return null;
    throw error;
  }
}

async function unlessUnreadable(otherwise: Step, run: () => Promise<Step>): Promise<Step> {
  try {
    return await run();
  } catch (error) {
    if (isUnreadable(error) || isMailError(error)) return otherwise;
    throw error;
  }
}

/** Not readable as mail, by a bound or an encoding. */
export function isMailError(error: unknown): boolean {
  return error instanceof SealgateError && error.code.startsWith('mail.');
}
