import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { crlf, isVouchedFor, People, signaturesOf } from './support/people.ts';

/**
 * Signature spoofing in the spirit of "Johnny, you are fired!" (USENIX Security 2019): none of these may come out as
 * signed by the one the mail says it is from.
 */

let people: People;
/** Alice's own mail, signed. */
let genuine: string;
/** Its multipart/signed entity without the outer header: what anybody who has it can put into other mail. */
let entity: string;

beforeAll(async () => {
  people = new People();
  const message = crlf('From: alice@example.org\nSubject: s\nContent-Type: text/plain\n\nI like you.\n');
  genuine = (
    await signMessage(message, people.signer('alice'), { form: 'clear', at: new Date(), boundary: 'sig' })
  ).toString('latin1');
  entity = genuine.slice(genuine.indexOf('Content-Type: multipart/signed'));
});
afterAll(() => people.remove());

async function isBelieved(message: string): Promise<boolean> {
  return isVouchedFor(await people.open(Buffer.from(message, 'latin1')));
}

function lines(...parts: string[]): string {
  return parts.join('\r\n');
}

it('believes the genuine mail', async () => {
  expect(await isBelieved(genuine)).toBe(true);
});

describe('who the mail says it is from', () => {
  const spoof = (from: string): string => genuine.replace('From: alice@example.org', from);

  it.each([
    ['somebody else', 'From: boss@example.org'],
    ['nobody', 'X-From: alice@example.org'],
    ['two From fields', 'From: alice@example.org\r\nFrom: boss@example.org'],
    ['two From fields, the other first', 'From: boss@example.org\r\nFrom: alice@example.org'],
    ['a From with a blank before the colon', 'From : boss@example.org\r\nFrom: alice@example.org'],
    ['a From line behind a lone CR', 'X: 1\rFrom: boss@example.org\r\nFrom: alice@example.org\rX: 1'],
    ['two authors', 'From: boss@example.org, alice@example.org'],
    ['the signer only as Sender', 'From: boss@example.org\r\nSender: alice@example.org'],
    ['the signer only as comment', 'From: boss@example.org (alice@example.org)'],
    ['the signer as display name', 'From: "alice@example.org" <boss@example.org>'],
    ['another address as display name', 'From: "boss@example.org" <alice@example.org>'],
    [
      'another address as encoded display name',
      'From: =?utf-8?B?Ym9zc0BleGFtcGxlLm9yZw==?= <alice@example.org>',
    ],
    ['another address before brackets', 'From: boss@example.org <alice@example.org>'],
    ['a route', 'From: <@boss@example.org:alice@example.org>'],
    ['NUL in the address', 'From: alice@example.org\0@boss.example.org'],
    ['an encoded word as local part', 'From: =?utf-8?Q?boss=40example.org=00?=alice@example.org'],
    ['a subdomain', 'From: alice@example.org.evil.example'],
    ['a longer local part', 'From: "x alice"@example.org'],
    ['a group', 'From: boss@example.org:alice@example.org;'],
  ])('%s', async (_, from) => {
    expect(await isBelieved(spoof(from))).toBe(false);
  });

  it('says of a changed text which check it failed, and which it passed', async () => {
    const message = crlf('From: alice@example.org\n\nI love you.\n');
    const signed = await signMessage(message, people.signer('alice'), { form: 'clear', at: new Date() });
    const changed = Buffer.from(signed.toString('latin1').replace('I love', 'I hate'), 'latin1');
    const [report] = signaturesOf(await people.open(changed));
    expect(report?.signature).toBe('bad');
    expect(report?.checks.filter(({ outcome }) => outcome !== 'passed')).toEqual([
      { check: 'message-digest', outcome: 'failed' },
    ]);
    expect(report?.checks.map(({ check }) => check)).toEqual([
      ...['algorithms', 'signed-attributes', 'content-type', 'message-digest'],
      ...['algorithm-protection', 'signing-certificate', 'signature-value'],
    ]);
  });

  it('does not believe a signer whose certificate only has a similar address', async () => {
    const message = crlf('From: alice@example.org\n\nI hate you.\n');
    const forged = await signMessage(message, people.signer('mallory'), { form: 'clear', at: new Date() });
    const opening = await people.open(forged);
    expect(signaturesOf(opening)).toMatchObject([{ signature: 'good', speaksFor: 'other' }]);
    expect(isVouchedFor(opening)).toBe(false);
  });

  it('does not believe a certificate that nobody trusted issued', async () => {
    const others = new People();
    try {
      const message = crlf('From: alice@example.org\n\nI hate you.\n');
      const forged = await signMessage(message, others.signer('alice'), { form: 'clear', at: new Date() });
      const opening = await people.open(forged);
      expect(signaturesOf(opening)).toMatchObject([{ signature: 'good', path: { outcome: 'invalid' } }]);
    } finally {
      others.remove();
    }
  });
});

describe('what the signature covers', () => {
  const wrap = (type: string, ...parts: string[]): string =>
    lines(
      'From: alice@example.org',
      'MIME-Version: 1.0',
      `Content-Type: ${type}; boundary=out`,
      '',
      ...parts.flatMap((part) => ['--out', part]),
      '--out--',
      '',
    );
  const html = lines('Content-Type: text/html', '', 'I hate you.<!--');

  it.each([
    ['unsigned text before the signed part', () => wrap('multipart/mixed', html, entity)],
    ['unsigned text after the signed part', () => wrap('multipart/mixed', entity, html)],
    ['a related part that refers to it', () => wrap('multipart/related', html, entity)],
    ['an alternative to it', () => wrap('multipart/alternative', entity, html)],
    [
      'the signed mail as attachment',
      () => wrap('multipart/mixed', html, lines('Content-Type: message/rfc822', '', genuine)),
    ],
    ['the signed mail as the only part', () => wrap('multipart/mixed', entity)],
    [
      'the signed mail forwarded as the root',
      () => lines('From: alice@example.org', 'Content-Type: message/rfc822', '', genuine),
    ],
  ])('%s', async (_, message) => {
    const opening = await people.open(Buffer.from(message(), 'latin1'));
    expect(opening).toMatchObject({ outcome: 'as-is', report: { layers: [] } });
  });

  const cut = (): { head: string; first: string; second: string } => {
    const [head = '', first = '', second = ''] = entity.split(/--sig(?:--)?\r\n/);
    return { head, first: first.replace(/\r\n$/, ''), second: second.replace(/\r\n$/, '') };
  };
  const compose = (parts: string[]): string =>
    `From: alice@example.org\r\n${cut().head}${parts.map((part) => `--sig\r\n${part}\r\n`).join('')}--sig--\r\n`;

  it('believes the parts put together again', async () => {
    const { first, second } = cut();
    expect(await isBelieved(compose([first, second]))).toBe(true);
  });

  it.each([
    ['a part before both', ({ first, second }) => [html, first, second]],
    ['a part between', ({ first, second }) => [first, html, second]],
    ['a part after both', ({ first, second }) => [first, second, html]],
    ['the parts swapped', ({ first, second }) => [second, first]],
    ['the signature twice', ({ first, second }) => [first, second, second]],
    ['the content twice', ({ first, second }) => [first, first, second]],
    ['other content', ({ second }) => [html, second]],
    ['no signature', ({ first }) => [first]],
    [
      'a signature part of another type',
      ({ first, second }) => [first, second.replace('pkcs7-signature', 'octet-stream')],
    ],
    [
      'two types of the signature part',
      ({ first, second }) => [first, `Content-Type: text/html\r\n${second}`],
    ],
  ] as [string, (parts: { first: string; second: string }) => string[]][])('%s', async (_, choose) => {
    const opening = await people.open(Buffer.from(compose(choose(cut())), 'latin1'));
    expect(signaturesOf(opening).map(({ signature: outcome }) => outcome)).not.toContain('good');
  });

  it.each([
    [
      'a boundary said twice',
      (text: string) => text.replace('boundary="sig"', 'boundary="sig"; boundary="other"'),
    ],
    [
      'a boundary with an RFC 2231 twin',
      (text: string) => text.replace('boundary="sig"', `boundary="sig"; boundary*=us-ascii''other`),
    ],
    ['a boundary with a comment', (text: string) => text.replace('boundary="sig"', 'boundary=(x)sig')],
    ['two Content-Type fields', (text: string) => `Content-Type: multipart/mixed; boundary=other\r\n${text}`],
    [
      'a Content-Type with a blank before the colon',
      (text: string) => `Content-Type : multipart/mixed; boundary=other\r\n${text}`,
    ],
    ['a header line that is no field', (text: string) => `bogus\r\n${text}`],
    ['a transfer encoding around it', (text: string) => `Content-Transfer-Encoding: base64\r\n${text}`],
    ['no closing boundary', (text: string) => text.replace('--sig--\r\n', '')],
    [
      'a line that begins with the boundary',
      (text: string) => text.replace('\r\n\r\n--sig\r\n', '\r\n\r\n--sigh\r\n\r\nI hate you.\r\n--sig\r\n'),
    ],
    [
      'a boundary behind a lone CR',
      (text: string) => text.replace('--sig\r\n', 'x\r--sig\r\rI hate you.\r\n--sig\r\n'),
    ],
    [
      'a fourth boundary line in the epilogue',
      (text: string) => `${text}--sig\r\n\r\nI hate you.\r\n--sig--\r\n`,
    ],
    [
      'another protocol',
      (text: string) => text.replace('application/pkcs7-signature', 'application/pgp-signature'),
    ],
  ])('%s', async (_, change) => {
    expect(change(entity)).not.toBe(entity);
    const opening = await people.open(Buffer.from(`From: alice@example.org\r\n${change(entity)}`, 'latin1'));
    expect(signaturesOf(opening).map(({ signature: outcome }) => outcome)).not.toContain('good');
  });

  it('takes no content out of the signature part', async () => {
    const opaque = await signMessage(
      crlf('From: alice@example.org\n\nI like you.\n'),
      people.signer('alice'),
      {
        form: 'opaque',
        at: new Date(),
      },
    );
    const { root, octets } = readMessage(opaque);
    const base64 = octets.toString('latin1', root.body.start);
    const { first, second } = cut();
    const spoofed = second.slice(0, second.indexOf('\r\n\r\n') + 4) + base64;
    for (const content of [first, html]) {
      const opening = await people.open(Buffer.from(compose([content, spoofed]), 'latin1'));
      expect(signaturesOf(opening).map(({ signature: outcome }) => outcome)).toEqual(['unsupported']);
    }
  });

  it('verifies no signature that is apart from what it signs', async () => {
    const { second } = cut();
    const base64 = second.slice(second.indexOf('\r\n\r\n') + 4);
    const message = lines(
      'From: alice@example.org',
      'Content-Type: application/pkcs7-mime; smime-type=signed-data',
      'Content-Transfer-Encoding: base64',
      '',
      base64,
    );
    const opening = await people.open(Buffer.from(message, 'latin1'));
    expect(signaturesOf(opening).map(({ signature: outcome }) => outcome)).toEqual(['unsupported']);
  });

  it('finds every changed octet of the signed part, and none of the others signed', async () => {
    const content = genuine.indexOf('I like you.');
    for (const at of [content, content + 10, genuine.indexOf('Content-Type: text/plain')]) {
      const octets = Buffer.from(genuine, 'latin1');
      octets[at] = (octets[at] ?? 0) ^ 1;
      const opening = await people.open(octets);
      expect(signaturesOf(opening)).toMatchObject([{ signature: 'bad', speaksFor: 'unknown', path: null }]);
    }
  });
});

describe('when a signature was made', () => {
  it('judges validity at the signing time, but not at one to come', async () => {
    const message = crlf('From: alice@example.org\n\nHello\n');
    const now = new Date();
    const later = new Date(now.getTime() + 400 * 24 * 3600 * 1000);
    const signed = await signMessage(message, people.signer('alice'), { form: 'clear', at: now });
    expect(isVouchedFor(await people.open(signed, [], later))).toBe(true);
    const after = await signMessage(message, people.signer('alice'), { form: 'clear', at: later });
    expect(isVouchedFor(await people.open(after, [], later))).toBe(false);
    // Claimed for next year, opened today: judged today.
    expect(isVouchedFor(await people.open(after, [], now))).toBe(true);
    const before = await signMessage(message, people.signer('alice'), { form: 'clear', at: new Date(0) });
    expect(signaturesOf(await people.open(before))).toMatchObject([
      { signature: 'good', path: { outcome: 'invalid' } },
    ]);
  });
});
