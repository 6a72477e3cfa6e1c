import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { splitMessage } from '../../src/mail/compose.ts';
import { splitSafely } from '../../src/mail/compose-source.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';
import type { HeaderProtection } from '../../src/mail/header-protection.ts';
import { protectedContent } from '../../src/mail/protected-content.ts';
import { sevenBitSafe } from '../../src/mail/seven-bit-safe.ts';
import { collect, inChunks, mailOctets } from './support/streams.ts';

const PROTECTIONS: readonly (HeaderProtection | null)[] = [
  null,
  { kind: 'clear' },
  { kind: 'cipher', confidentiality: 'none' },
  { kind: 'cipher', confidentiality: 'baseline' },
];

const HEADERS = [
  '',
  'From: a@x.test\r\nSubject: s\r\n',
  'From: a@x.test\r\nMIME-Version: 1.0\r\nContent-Language: de\r\n',
  'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nSubject: grün\r\n',
  'Content-Type: multipart/signed; boundary=b; protocol="application/pkcs7-signature"\r\n',
  'Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n',
];

const octets = fc.tuple(fc.constantFrom(...HEADERS), mailOctets).map(([header, mail]) => {
  return Buffer.concat([Buffer.from(header), mail]);
});

/** Octets, or the code of the refusal. */
function outcome(run: () => { outer: Buffer; content: Buffer }): unknown {
  try {
    const { outer, content } = run();
    return { outer: outer.toString('latin1'), content: content.toString('latin1') };
  } catch (error) {
    if (error instanceof SealgateError) return error.code;
    throw error;
  }
}

/** Holds the three ways to one outcome, which is returned. */
async function agreedOutcome(mail: Buffer, protection: HeaderProtection | null): Promise<unknown> {
  const quick = outcome(() => protectedContent(readMessage(mail), protection));
  const slow = outcome(() => {
    const { outer, inner, entity } = splitMessage(readMessage(mail), protection);
    return { outer, content: Buffer.concat([inner, sevenBitSafe(entity)]) };
  });
  expect(quick).toEqual(slow);
  const streamed = await splitSafely(inChunks(mail, [17]), protection).then(
    async ({ outer, content }) => ({ outer, content: await collect(content.read()) }),
    (error: unknown) => error,
  );
  const last = outcome(() => {
    if (streamed instanceof Error) throw streamed;
    return streamed as { outer: Buffer; content: Buffer };
  });
  expect(last).toEqual(quick);
  return quick;
}

describe('what of a message is signed or encrypted', () => {
  it('is what taking it apart and making the entity safe gives, in memory and in chunks', async () => {
    await fc.assert(
      fc.asyncProperty(octets, fc.constantFrom(...PROTECTIONS), async (mail, protection) => {
        await agreedOutcome(mail, protection);
      }),
      { numRuns: 4_000 },
    );
  });

  it('never has a multipart whose Content-Type became readable by being marked', async () => {
    const mail = (end: string): Buffer =>
      Buffer.from(
        `Content-Type: multipart/signed; boundary=b; protocol="application/pkcs7-signature"\r\n${end}\r\n\r\n--b\r`,
        'latin1',
      );
    // A lone CR, and what JavaScript takes for a blank beside it.
    for (const end of [' \t  \r', ' \f', ' \xa0']) {
      expect(await agreedOutcome(mail(end), null)).toBe('mail.cannot-make-safe');
      expect(await agreedOutcome(mail(end), { kind: 'clear' })).toBe('mail.cannot-make-safe');
      const hidden: HeaderProtection = { kind: 'cipher', confidentiality: 'baseline' };
      expect(await agreedOutcome(mail(end), hidden)).toBe('mail.malformed-header');
    }
  });

  it('counts the parts of a message together with those of messages inside it', () => {
    const part =
      '--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n';
    const mail = Buffer.from(
      `Content-Type: multipart/mixed; boundary=b\r\n\r\n${part.repeat(5_001)}--b--\r\n`,
    );
    expect(outcome(() => protectedContent(readMessage(mail), null))).toBe('mail.too-complex');
  });
});
