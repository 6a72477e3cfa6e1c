import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Duration, SealgateError } from '../../src/errors.ts';
import type { MailId } from '../../src/ids.ts';
import { MailRefused, ownReply, refusalOf, refusalReply } from '../../src/pipeline/refusal.ts';
import { formatReply } from '../../src/smtp/reply.ts';

const mail = '01hxyzxyzxyzxyzxyzxy' as MailId;

describe('a refusal as a reply', () => {
  it.each([
    ['key.unavailable', 'temporary', 451, '4.7.5'],
    ['key.refused', 'permanent', 554, '5.7.5'],
    ['cms.unsupported-recipient', 'permanent', 554, '5.7.5'],
    ['mail.malformed-header', 'permanent', 554, '5.6.0'],
    ['smime.pretended', 'permanent', 554, '5.6.0'],
    ['directory.unavailable', 'temporary', 451, '4.4.3'],
    ['store.unavailable', 'temporary', 451, '4.3.0'],
    ['config.invalid', 'permanent', 554, '5.3.0'],
  ] as const)('%s (%s) is %d %s', (code, duration, replyCode, enhanced) => {
    const reply = refusalReply(
      refusalOf(new SealgateError({ code, duration, publicText: 'It is so.', reason: 'secret reason' })),
      mail,
    );
    expect(reply).toEqual({ code: replyCode, lines: [`${enhanced} It is so. (mail ${mail})`] });
  });

  it('by policy is 550 5.7.1', () => {
    const refusal = {
      code: 'policy.refused',
      duration: 'permanent',
      enhancedCode: '5.7.1',
      publicText: 'No.',
    } as const;
    expect(refusalReply(refusalOf(new MailRefused(refusal)), mail).code).toBe(550);
  });

  it.each([new TypeError('x is undefined at /srv/secret.ts'), 'a string', null, undefined, { a: 1 }])(
    'of something that is no declared failure (%s) is temporary and tells nothing of it',
    (thrown) => {
      const reply = refusalReply(refusalOf(thrown), mail);
      expect(reply.code).toBe(451);
      expect(reply.lines[0]).toMatch(/^4\.3\.0 The gateway could not process this message/);
      expect(reply.lines[0]).not.toContain('secret');
    },
  );

  it('is one line of printable ASCII under 500 octets with its class and the whole mail id, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 2_000 }),
        fc.constantFrom<Duration>('temporary', 'permanent'),
        (publicText, duration) => {
          const error = new SealgateError({ code: 'key.refused', duration, publicText });
          const line = formatReply(refusalReply(refusalOf(error), mail));
          expect(line.length).toBeLessThan(500);
          expect(line).toMatch(
            duration === 'temporary'
              ? /^451 4\.\d+\.\d+ [\x20-\x7e]*\r\n$/
              : /^55[04] 5\.\d+\.\d+ [\x20-\x7e]*\r\n$/,
          );
          expect(line.endsWith(` (mail ${mail})\r\n`)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('keeps a line end of a stranger from becoming a second reply', () => {
    const { lines } = ownReply(451, '4.3.0', 'first\r\n250 2.0.0 queued', mail);
    expect(lines).toEqual([`4.3.0 first 250 2.0.0 queued (mail ${mail})`]);
  });

  it('writes typographic quotes and ellipses as ASCII, and one question mark for each other character', () => {
    expect(ownReply(250, '2.0.0', '“a” ‘b’… ü 😀', mail).lines[0]).toBe(
      `2.0.0 "a" 'b'... ? ? (mail ${mail})`,
    );
  });
});
