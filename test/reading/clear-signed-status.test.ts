import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encrypted, mailOf, signed, textEntity } from '../attacks/support/openssl-mail.ts';
import { expectAgreement, inPieces } from '../conformance/support/agreement.ts';
import type { ImapClient } from '../conformance/support/imap-client.ts';
import { octetsOf } from '../conformance/support/imap-response.ts';
import { outerFields, richEntity } from '../conformance/support/message-classes.ts';
import { type SeededMailbox, seededMailbox } from '../conformance/support/seeded-mailbox.ts';
import { opensslVerify } from '../support/mail-system.ts';

/** What servers on the way write: more than a status needs. */
const TRACE = Array.from({ length: 8 }, (_, hop) => {
  const folded = `by mx${hop + 1}.sealgate.test (relay)\r\n\twith ESMTPS id ${'0123456789abcdef'.repeat(3)}`;
  return `${hop % 2 === 0 ? 'Received' : 'X-Received'}: from mx${hop}.sealgate.test (mx${hop}.sealgate.test [192.0.2.${hop}])\r\n\t${folded};\r\n\tSun, 22 Nov 2026 10:00:00 +0000`;
});

let mailbox: SeededMailbox;
const uids = new Map<string, number>();
const stored = new Map<string, Buffer>();

beforeAll(async () => {
  mailbox = await seededMailbox({ reading: { clearSignedStatus: 'header' } });
  const { alice, bob } = mailbox.people;
  const good = await signed(richEntity('the harbour at seven'), alice);
  const bad = Buffer.from(good.toString('latin1').replace('harbour', 'arbours'), 'latin1');
  const inside = await encrypted(textEntity('closed'), [bob], { cipher: 'aes-256-gcm' });
  const mails: [string, readonly string[], Buffer][] = [
    ['good', TRACE, good],
    ['bad', TRACE, bad],
    ['from somebody else', TRACE, await signed(textEntity('hello'), bob)],
    ['large', TRACE, await signed(richEntity('a large one', 600_000), alice)],
    ['no trace', [], good],
    ['too little trace', TRACE.slice(0, 1), good],
    ['encrypted inside', TRACE, await signed(inside, alice)],
  ];
  const client = await mailbox.direct('SELECT INBOX');
  for (const [name, trace, entity] of mails) {
    const octets = mailOf(
      outerFields(name, ...trace, 'DKIM-Signature: v=1; d=sealgate.test; b=AAAA'),
      entity,
    );
    stored.set(name, octets);
    uids.set(name, await client.append('INBOX', octets));
  }
  client.close();
});
afterAll(() => mailbox?.stop());

const OVERLAID = ['good', 'bad', 'from somebody else', 'large'];
const AS_STORED = ['no trace', 'too little trace', 'encrypted inside'];
const open = (): Promise<ImapClient> => mailbox.through('EXAMINE INBOX');
const uidOf = (name: string): number => uids.get(name) ?? 0;
const storedOf = (name: string): Buffer => stored.get(name) ?? Buffer.alloc(0);
const bodyOf = (mail: Buffer): Buffer => mail.subarray(mail.indexOf('\r\n\r\n') + 4);
const headerOf = (mail: Buffer): string => mail.toString('latin1', 0, mail.indexOf('\r\n\r\n') + 4);

describe('clear-signed mail with a status', () => {
  test.each(OVERLAID)('%s: a status in the place of trace fields, and nothing else differs', async (name) => {
    const { whole, size } = await expectAgreement(open, uidOf(name), [50_000]);
    const original = storedOf(name);
    expect(size).toBe(original.length);
    expect(whole.length).toBe(original.length);
    expect(bodyOf(whole).equals(bodyOf(original))).toBe(true);
    const fields = (mail: Buffer) =>
      headerOf(mail)
        .split(/\r\n(?![ \t])/)
        .filter((field) => !/^(x-)?received:|^authentication-results:|^x-sealgate-/i.test(field));
    expect(fields(whole)).toEqual(fields(original));
    expect(headerOf(whole)).toMatch(/^Authentication-Results: sealgate-/);
    const ours = headerOf(whole).slice(0, headerOf(whole).indexOf('From: '));
    for (const line of ours.split('\r\n').filter((text) => !/^(\t|(X-)?Received:)/.test(text)))
      expect(line.length).toBeLessThanOrEqual(110);
  });

  test.each(AS_STORED)('%s: as it is stored, and no key is used', async (name) => {
    const uses = mailbox.keyUses();
    const { whole } = await expectAgreement(open, uidOf(name), [50_000]);
    expect(whole.equals(storedOf(name))).toBe(true);
    expect(mailbox.keyUses()).toBe(uses);
  });

  test('the status says what was found', async () => {
    const client = await open();
    const status = async (name: string) =>
      (await client.item(uidOf(name), 'BODY.PEEK[HEADER]')).toString().replace(/\r\n[ \t]+/g, ' ');
    expect(await status('good')).toMatch(
      /smime=pass .*\r\nX-Sealgate-[a-z0-9]+-Status: .*verdict=trusted; sig=good/,
    );
    expect(await status('bad')).toMatch(
      /smime=fail.*\r\nX-Sealgate-[a-z0-9]+-Status: .*verdict=broken; sig=bad/,
    );
    expect(await status('from somebody else')).toMatch(
      /smime=policy.*\r\nX-Sealgate-[a-z0-9]+-Status: .*from=other/,
    );
    client.close();
  });

  test('OpenSSL verifies the signature through it', async () => {
    const client = await open();
    for (const name of ['good', 'large'])
      expect(
        (await opensslVerify(mailbox.system, await client.item(uidOf(name), 'BODY.PEEK[]'))).length,
      ).toBeGreaterThan(100);
    client.close();
  });

  test('what is not its header is the mail server’s own, octet for octet, in any combination', async () => {
    const lists = [
      '(UID RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE BODY)',
      '(UID ENVELOPE BODY.PEEK[HEADER.FIELDS (From Subject Content-Type DKIM-Signature)])',
      '(UID BODY.PEEK[TEXT] BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2] BODY.PEEK[2.MIME])',
      '(UID BODYSTRUCTURE BODY.PEEK[TEXT]<100.900> BODY.PEEK[9])',
      '(UID PREVIEW)',
      '(UID BINARY.SIZE[2])',
      '(UID RFC822.TEXT)',
    ];
    const direct = await mailbox.direct('EXAMINE INBOX');
    for (const list of lists) {
      const cold = await open();
      for (const name of [...OVERLAID, ...AS_STORED]) {
        const mine = await cold.fetch(`UID FETCH ${uidOf(name)} ${list}`);
        const theirs = await direct.fetch(`UID FETCH ${uidOf(name)} ${list}`);
        expect([name, list, JSON.stringify(mine.map(({ items }) => [...items].sort()))]).toEqual([
          name,
          list,
          JSON.stringify(theirs.map(({ items }) => [...items].sort())),
        ]);
      }
      cold.close();
    }
    direct.close();
  });

  test('its header is one, however it is asked for first', async () => {
    const reference = await open();
    for (const name of OVERLAID) {
      const uid = uidOf(name);
      const whole = await reference.item(uid, 'BODY.PEEK[]');
      const header = headerOf(whole);
      const named = (wanted: RegExp) =>
        `${header
          .split(/\r\n(?![ \t])/)
          .filter((field) => wanted.test(field))
          .map((field) => `${field}\r\n`)
          .join('')}\r\n`;
      const asks: [string, string][] = [
        ['BODY.PEEK[HEADER]', header],
        ['RFC822.HEADER', header],
        ['RFC822', whole.toString('latin1')],
        ['BODY.PEEK[HEADER.FIELDS (Received)]', named(/^received:/i)],
        ['BODY.PEEK[HEADER.FIELDS (Received Content-Type)]', named(/^(received|content-type):/i)],
        [
          'BODY.PEEK[HEADER.FIELDS (Authentication-Results X-Received)]',
          named(/^(authentication-results|x-received):/i),
        ],
        ['BODY.PEEK[HEADER.FIELDS.NOT (From X-Received)]', named(/^(?!from:|x-received:)./i)],
      ];
      for (const [item, expected] of asks) {
        const cold = await open();
        const [answer] = await cold.fetch(`UID FETCH ${uid} (${item})`);
        const octets = [...(answer?.items ?? [])].find(
          ([label]) => label.startsWith('BODY') || label.startsWith('RFC822'),
        )?.[1];
        expect([name, item, octetsOf(octets).toString('latin1')]).toEqual([name, item, expected]);
        const [byNumber] = await cold.fetch(`FETCH 1:* (${item})`);
        expect(byNumber).toBeDefined();
        cold.close();
      }
      const cold = await open();
      expect((await inPieces(cold, uid, 777)).toString('latin1')).toBe(whole.toString('latin1'));
      cold.close();
    }
    reference.close();
  });

  test('a search finds its words, and listings beside encrypted mail say what they said', async () => {
    const client = await open();
    const answer = await client.ok('UID SEARCH TEXT "harbour at seven"');
    expect(JSON.stringify(answer)).toContain(String(uidOf('good')));
    for (const { uid, shown, octets, name } of mailbox.messages) {
      const { whole } = await expectAgreement(open, uid, [3_000]);
      if (shown === 'as-stored') expect([name, whole.equals(octets)]).toEqual([name, true]);
    }
    client.close();
  });
});
