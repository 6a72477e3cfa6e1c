import { describe, expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { messageFacts } from '../../src/pipeline/message-facts.ts';
import { readOutgoing } from '../../src/pipeline/outgoing-message.ts';
import type { PlainCondition } from '../../src/policy/rules.ts';
import { ALWAYS } from '../policy/always.ts';
import { mail, rule } from './support/ports.ts';

/** The same of a mail in memory and of one that lies elsewhere. */
async function factsOf(octets: Buffer, when: Partial<PlainCondition>) {
  const rules = [rule({ when: { ...ALWAYS, ...when } })];
  const facts = await messageFacts(await readOutgoing(bufferSource(octets), octets.length), rules);
  expect(await messageFacts(await readOutgoing(bufferSource(octets), -1), rules)).toEqual(facts);
  return facts;
}

async function valuesOf(lines: readonly string[], name = 'x-class') {
  const { header } = await factsOf(mail(lines), { header: [{ name, test: { kind: 'present' } }] });
  return header.kind === 'values' ? header.of.get(name) : undefined;
}

async function tagsOf(...subjects: string[]) {
  return (await factsOf(mail(subjects.map((one) => `Subject: ${one}`)), { subjectTag: ['x'] })).tags.found;
}

async function attachmentsOf(octets: Buffer) {
  return (await factsOf(octets, { attachmentType: ['a/b'] })).attachments;
}

describe('what rules look at of a header', () => {
  test.each([
    [['X-Class: Top  Secret '], ['top secret']],
    [
      ['X-Class: one', 'x-class: two'],
      ['one', 'two'],
    ],
    [['X-Class: top\r\n  secret'], ['top secret']],
    [['X-Class: =?utf-8?Q?gr=C3=BCn?=\r\n =?utf-8?B?IQ==?='], ['grün!']],
    [['X-Class: grün'], ['grün']],
    [['X-Class:'], ['']],
    [['X-Classes: a'], []],
  ])('%j', async (lines, values) => {
    expect(await valuesOf(lines)).toEqual(values);
  });

  test('is nothing where no rule looks', async () => {
    const octets = mail(['X-Class: secret', 'Subject: [encrypt] x']);
    expect(await factsOf(octets, {})).toEqual({
      octets: octets.length,
      header: { kind: 'values', of: new Map() },
      tags: { found: [], looked: [] },
      attachments: null,
    });
  });

  test('octets that are no UTF-8 are latin1', async () => {
    const octets = Buffer.from('X-Class: gr\xfcn\r\n\r\n', 'latin1');
    const { header } = await factsOf(octets, { header: [{ name: 'x-class', test: { kind: 'present' } }] });
    expect(header.kind === 'values' && header.of.get('x-class')).toEqual(['grün']);
  });
});

describe('tags of a Subject', () => {
  test.each([
    [['[encrypt] Offer'], ['encrypt']],
    [['  [ENCRYPT][Sign]   [project-7] Offer'], ['encrypt', 'sign', 'project-7']],
    [['=?utf-8?Q?=5Bencrypt=5D_Gr=C3=BC=C3=9Fe?='], ['encrypt']],
    [['=?utf-8?B?W2VuY3J5?= =?utf-8?B?cHRd?= Offer'], ['encrypt']],
    [['[encrypt]'], ['encrypt']],
    [
      ['[a] x', '[b] y'],
      ['a', 'b'],
    ],
    [['\u{200b}[encrypt]\u{200e}[sign] Offer'], ['encrypt', 'sign']],
    [['Re: [encrypt] Offer'], []],
    [['Offer [encrypt]'], []],
    [['[encrypt'], []],
    [['[two words] [encrypt] x'], []],
    [['[] x'], []],
    [[`[${'x'.repeat(33)}] x`], []],
    [[''], []],
  ])('%j', async (subjects, tags) => {
    expect(await tagsOf(...subjects)).toEqual(tags);
  });
});

describe('attachments', () => {
  const multipart = (...parts: string[]) =>
    mail(
      ['Content-Type: multipart/mixed; boundary=b'],
      `${parts.map((part) => `--b\r\n${part}\r\n`).join('')}--b--\r\n`,
    );

  test.each<[string, Buffer, unknown[]]>([
    ['text alone', mail(['Subject: x']), []],
    ['a root of another type', mail(['Content-Type: application/pdf']), ['application/pdf null']],
    [
      'parts with and without names',
      multipart(
        'Content-Type: text/plain\r\n\r\nx',
        'Content-Type: Image/PNG\r\n\r\nx',
        'Content-Type: text/plain; name="Report.CSV"\r\n\r\nx',
        'Content-Type: text/html\r\nContent-Disposition: attachment\r\n\r\nx',
        "Content-Type: a/b\r\nContent-Disposition: attachment; filename*=utf-8''gr%C3%BCn.DOCM\r\n\r\nx",
        'Content-Type: a/b; name="=?utf-8?Q?x=2Eexe?="\r\n\r\nx',
        'Content-Type: a/b\r\nContent-Disposition: attachment; filename="x.exe. "\r\n\r\nx',
      ),
      [...['image/png null', 'text/plain csv', 'text/html null', 'a/b docm', 'a/b exe', 'a/b exe']],
    ],
    [
      'parts in messages in parts',
      multipart(
        'Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: a/b\r\n\r\nx\r\n--c--',
      ),
      ['message/rfc822 null', 'a/b null'],
    ],
    [
      'not the signature of a signed mail',
      mail(
        [
          'Content-Type: multipart/signed; boundary=b; protocol="application/pkcs7-signature"; micalg=sha-256',
        ],
        '--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n\r\nx\r\n--b--\r\n',
      ),
      ['a/b null'],
    ],
    [
      'what else is in something that calls itself signed',
      multipart(
        'Content-Type: multipart/signed; boundary=c; protocol="x/y"\r\n\r\n--c\r\n\r\nx\r\n--c\r\nContent-Type: a/b; name=x.exe\r\n\r\nx\r\n--c--',
        'Content-Type: multipart/signed; boundary=d\r\n\r\n--d\r\n\r\nx\r\n--d\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--d\r\nContent-Type: a/b\r\n\r\nx\r\n--d--',
        'Content-Type: multipart/signed; boundary=e\r\n\r\n--e\r\n\r\nx\r\n--e\r\nContent-Type: application/pgp-signature; name=x.exe\r\n\r\nx\r\n--e--',
      ),
      [...['a/b exe', 'application/pkcs7-signature null', 'a/b null', 'application/pgp-signature exe']],
    ],
    [
      'every name that a part has',
      multipart(
        'Content-Type: text/plain; name=x.exe\r\nContent-Disposition: inline; filename=x.txt\r\n\r\nx',
        'Content-Disposition: inline\r\nContent-Disposition: attachment; filename=x.docm\r\n\r\nx',
      ),
      ['text/plain txt', 'text/plain exe', 'text/plain docm'],
    ],
    [
      'not what is encrypted',
      mail(['Content-Type: application/pkcs7-mime; name=smime.p7m']),
      ['application/pkcs7-mime p7m'],
    ],
  ])('%s', async (_, octets, found) => {
    expect(
      (await attachmentsOf(octets))?.map(({ mediaType, extension }) => `${mediaType} ${extension}`),
    ).toEqual(found);
  });

  test('messages in messages are looked into to a depth, and no further', async () => {
    const inside = 'Content-Type: message/rfc822\r\n\r\n'.repeat(200);
    expect(await attachmentsOf(Buffer.from(`${inside}Content-Type: a/b\r\n\r\n`))).toHaveLength(21);
  });
});
