import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signMessage } from '../../src/smime/sign.ts';
import { crlf, isVouchedFor, People } from './support/people.ts';

let people: People;
beforeAll(() => {
  people = new People();
});
afterAll(() => people.remove());

/** What relays do to mail on its way; each is harmless to mail that RFC 8551 §3.1 prepared. */
const RELAYS: Record<string, (text: string) => string> = {
  'strips the eighth bit': (text) =>
    text.replace(/[\x80-\xff]/g, (char) => String.fromCharCode(char.charCodeAt(0) & 127)),
  'drops blanks at line ends': (text) => text.replace(/[ \t]+\r\n/g, '\r\n'),
  'quotes From at line starts': (text) => text.replace(/^From /gm, '>From '),
  'breaks lines beyond 998 octets': (text) => text.replace(/[^\r\n]{998}/g, '$&\r\n'),
  'turns lone CR and LF into CRLF': (text) => text.replace(/\r\n|\r|\n/g, '\r\n'),
  'drops NUL': (text) => text.replaceAll('\0', ''),
  'stores with LF': (text) => text.replaceAll('\r\n', '\n'),
  'adds header fields': (text) => `Received: by relay\r\nX-Spam: no\r\n${text}`,
  'stuffs and unstuffs dots': (text) => text.replace(/^\./gm, '..').replace(/^\.\./gm, '.'),
};

const NASTY = Buffer.from(
  `From: alice@example.org\r\nTo: bob@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble \r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFrom the café \r\n.\r\n${'é'.repeat(2_000)}\r\n \t\r\n--b\r\nContent-Type: application/octet-stream; name="café"\r\nContent-Transfer-Encoding: binary\r\n\r\n\n\r\0\xff From \r\n--b--\r\n`,
);

it.each(Object.entries(RELAYS))('a signature survives a relay that %s', async (_, relay) => {
  for (const form of ['clear', 'opaque'] as const) {
    const signed = await signMessage(NASTY, people.signer('alice'), { form, at: new Date() });
    const relayed = Buffer.from(relay(signed.toString('latin1')), 'latin1');
    expect(isVouchedFor(await people.open(relayed))).toBe(true);
  }
});

it('a signature survives a gateway that reads and writes the message anew', async () => {
  const signed = await signMessage(
    crlf('From: alice@example.org\nContent-Type: text/plain; charset=utf-8\n\ncafé \nFrom x\n'),
    people.signer('alice'),
    { form: 'clear', at: new Date() },
  );
  const program = `
import sys, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.SMTP)
sys.stdout.buffer.write(m.as_bytes())
`;
  const rewritten = spawnSync('python3', ['-c', program], { input: signed }).stdout;
  expect(rewritten.toString()).toContain('multipart/signed');
  expect(isVouchedFor(await people.open(rewritten))).toBe(true);
});
