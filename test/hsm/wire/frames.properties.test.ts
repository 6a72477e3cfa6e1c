import { openSync, writeFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FailureError } from '../../../src/hsm/failures.ts';
import { parseFromKeyProcess, parseToKeyProcess } from '../../../src/hsm/messages.ts';
import type { Operation } from '../../../src/hsm/operation.ts';
import { BlockingFrames } from '../../../src/hsm/wire/blocking-frames.ts';
import { ControlReader, controlFrame } from '../../../src/hsm/wire/control-frames.ts';
import { FrameReader, frameHead, LENGTH_OCTETS } from '../../../src/hsm/wire/frames.ts';
import { answerFrame, readRequest, requestFrame } from '../../../src/hsm/wire/operation-frames.ts';
import { readAnswer } from '../../../src/hsm/wire/read-answer.ts';
import { limits } from '../../../src/limits.ts';
import { Authority } from '../support/authority.ts';

/** What passes between the gateway and its key processes: all of it comes back as it was, and nothing else is understood. */

const octets = fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value));
const digest = fc.constantFrom('sha1', 'sha224', 'sha256', 'sha384', 'sha512');
const key = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((value) => Buffer.from(value).toString('hex'));
const scheme = fc.oneof(
  fc.record({ kind: fc.constantFrom('rsa-pkcs1', 'ecdsa'), digest }),
  fc.record({ kind: fc.constant('rsa-pss'), digest, saltOctets: fc.nat({ max: 64 }) }),
  fc.record({ kind: fc.constant('eddsa'), curve: fc.constantFrom('Ed25519', 'Ed448') }),
  fc.record({
    kind: fc.constant('ml-dsa'),
    parameterSet: fc.constantFrom('ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'),
  }),
);
const transport = fc.oneof(
  fc.record({ kind: fc.constant('rsa-pkcs1') }),
  fc.record({ kind: fc.constant('rsa-oaep'), digest, maskDigest: digest, label: octets }),
);
const operation = fc.oneof(
  fc.record({
    kind: fc.constant('sign'),
    key,
    scheme,
    input: fc.constantFrom('message', 'digest'),
    data: octets,
  }),
  fc.record({ kind: fc.constant('decrypt'), key, scheme: transport, encryptedKey: octets }),
  fc.record({ kind: fc.constant('agree'), key, originator: octets }),
  fc.record({ kind: fc.constant('decapsulate'), key, ciphertext: octets }),
) as fc.Arbitrary<Operation>;
const id = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const failure = fc.record({
  code: fc.constantFrom('key.unavailable', 'key.decrypt-failed'),
  publicText: fc.string({ minLength: 1, maxLength: 100 }),
  duration: fc.constantFrom('temporary' as const, 'permanent' as const),
  reason: fc.string({ maxLength: 100 }),
  sessionLost: fc.boolean(),
});

/** The octets in pieces, cut anywhere. */
function cut(whole: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (whole.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => whole.subarray(from, at[i] ?? whole.length));
}

describe('frames', () => {
  test('come back whole and in their order, however they are cut', () => {
    fc.assert(
      fc.property(fc.array(octets), fc.array(fc.nat()), (frames, places) => {
        const whole = Buffer.concat(frames.flatMap((frame) => [frameHead(frame.length, 300), frame]));
        const reader = new FrameReader(300);
        const read = cut(whole, places).flatMap((chunk) => reader.push(chunk) ?? [Buffer.from('refused')]);
        expect(read).toEqual(frames);
      }),
    );
  });

  test('one that is longer than agreed is refused by its length alone', () => {
    const reader = new FrameReader(300);
    expect(reader.push(Buffer.from([0, 0, 1]))).toEqual([]);
    expect(reader.push(Buffer.from([0x2d]))).toBeNull();
    expect(() => frameHead(301, 300)).toThrow(RangeError);
  });
});

describe('uses of keys', () => {
  test('a request comes back as it was', () => {
    fc.assert(
      fc.property(id, operation, (number, sent) => {
        const [frame] = new FrameReader(2_000).push(Buffer.concat(requestFrame(number, sent))) ?? [];
        expect(readRequest(frame ?? Buffer.alloc(0))).toEqual({ id: number, operation: sent });
      }),
      { numRuns: 500 },
    );
  });

  test('octets are a request only if they are exactly what that request is written as', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          octets,
          fc.tuple(operation, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([sent, at, value]) => {
            const frame = Buffer.concat(requestFrame(7, sent)).subarray(LENGTH_OCTETS);
            frame[at % frame.length] = value;
            return frame;
          }),
        ),
        (frame) => {
          const read = readRequest(frame);
          if (read === null) return;
          const again = Buffer.concat(requestFrame(read.id, read.operation)).subarray(LENGTH_OCTETS);
          expect(again.equals(frame)).toBe(true);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('an answer comes back as it was; one that does not fit is a failure', () => {
    fc.assert(
      fc.property(id, fc.oneof(octets, failure), (number, sent) => {
        const answer = Buffer.isBuffer(sent) ? { id: number, octets: sent } : { id: number, failure: sent };
        expect(readAnswer(answerFrame(answer).subarray(LENGTH_OCTETS))).toEqual(answer);
      }),
    );
    const long = answerFrame({ id: 1, octets: Buffer.alloc(limits.keys.answerOctets) });
    expect(readAnswer(long.subarray(LENGTH_OCTETS))).toMatchObject({ failure: { code: 'key.refused' } });
  });

  test('whatever octets are taken for an answer, it is for one request', () => {
    fc.assert(
      fc.property(octets, (frame) => {
        const read = readAnswer(frame);
        if (read !== null) expect(read.id).toBe(frame.readUInt32BE(0));
      }),
      { numRuns: 1_000 },
    );
    for (const text of ['{', 'null', '[]', '{"code":"mail.accepted"}', '{"code":"key.x"}']) {
      expect(readAnswer(Buffer.concat([Buffer.from([0, 0, 0, 1, 1]), Buffer.from(text)]))).toBeNull();
    }
  });

  test('a name that is no digest, and more octets than anybody signs, are refused before they are sent', () => {
    const sent = { kind: 'agree', originator: Buffer.alloc(1) } as const;
    for (const name of ['', 'k', '0'.repeat(63), 'z'.repeat(64), '0'.repeat(66)]) {
      expect(() => requestFrame(1, { ...sent, key: name })).toThrow(FailureError);
    }
    const originator = Buffer.alloc(limits.keys.requestOctets);
    expect(() => requestFrame(1, { kind: 'agree', key: '0'.repeat(64), originator })).toThrow(FailureError);
  });
});

describe('control messages', () => {
  test('octets inside come back as octets, anything else as JSON has it', () => {
    fc.assert(
      fc.property(fc.array(octets), fc.jsonValue(), fc.array(fc.nat()), (certificates, value, places) => {
        fc.pre(!JSON.stringify(value).includes('"octets"'));
        const message = { kind: 'x', certificates, value };
        const reader = new ControlReader();
        const read = cut(controlFrame(message), places).flatMap((chunk) => reader.push(chunk) ?? ['refused']);
        expect(read).toEqual([{ ...message, value: JSON.parse(JSON.stringify(value)) }]);
      }),
    );
  });

  test.each([
    ['no JSON', Buffer.from('{"kind":')],
    ['octets that are no text', Buffer.from([0xff, 0xfe, 0x00])],
    ['nothing', Buffer.alloc(0)],
    ['an abyss of brackets', Buffer.from('['.repeat(100_000))],
    ['an abyss of values', Buffer.from('['.repeat(100_000) + ']'.repeat(100_000))],
  ])('%s is no message, and no crash', (_, body) => {
    const frame = Buffer.concat([frameHead(body.length, limits.keys.controlOctets), body]);
    const read = new ControlReader().push(frame);
    for (const value of read ?? []) expect(parseFromKeyProcess(value)).toBeNull();
  });

  test('anything at all is judged without a crash', () => {
    const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true });
    fc.assert(
      fc.property(anything, (value) => {
        expect(parseFromKeyProcess(value)).toBeNull();
        expect(parseToKeyProcess(value)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  test('__proto__ in a message changes no prototype', () => {
    const body = Buffer.from(
      '{"kind":"asking","__proto__":{"polluted":true},"constructor":{"octets":"AA=="}}',
    );
    const frame = Buffer.concat([frameHead(body.length, limits.keys.controlOctets), body]);
    const [value] = new ControlReader().push(frame) ?? [];
    expect(parseFromKeyProcess(value)).toEqual({ kind: 'asking' });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

test('a thread reads frames from a file descriptor to its end, and takes none that is too long', () => {
  const authority = new Authority();
  try {
    const file = authority.path('frames');
    const big = Buffer.alloc(200_000, 7);
    const small = Buffer.from('small');
    const frames = [small, big, small].flatMap((frame) => [frameHead(frame.length, 200_000), frame]);
    writeFileSync(file, Buffer.concat(frames));
    const reader = new BlockingFrames(openSync(file, 'r'), 200_000);
    expect([reader.read(), reader.read(), reader.read(), reader.read()]).toEqual([small, big, small, null]);
    expect(() => new BlockingFrames(openSync(file, 'r'), 4).read()).toThrow(RangeError);
  } finally {
    authority.remove();
  }
});
