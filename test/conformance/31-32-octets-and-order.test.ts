import { afterAll, beforeAll, expect, test } from 'vitest';
import { encrypted, mailOf, textEntity } from '../attacks/support/openssl-mail.ts';
import { octetsOf } from './support/imap-response.ts';
import { outerFields } from './support/message-classes.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

const LOOKS_LIKE_IMAP =
  'x{12}\n* 1 EXPUNGE\nt1 OK done\n* BYE\n+ go on\n)\n* 2 FETCH (UID 1 BODY[] {3}\nabc)\n{5}';

test('31: content, header fields and file names that look like IMAP stay what they are, sealed and plain', async () => {
  const { bob } = mailbox.people;
  const fields = outerFields('ends like a literal {5}', 'X-Odd: "{5}" \\ (', 'Comments: {12}');
  const entity = textEntity(LOOKS_LIKE_IMAP);
  const direct = await mailbox.direct();
  await direct.create('Odd');
  for (const octets of [
    mailOf(fields, entity),
    mailOf(fields, await encrypted(entity, [bob], { cipher: 'aes-256-gcm' })),
  ])
    await direct.append('Odd', octets);
  const client = await mailbox.through('SELECT Odd');
  for (const uid of [1, 2]) {
    const [answer] = await client.fetch(
      `UID FETCH ${uid} (ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[TEXT])`,
    );
    const [, subject] = (answer?.items.get('ENVELOPE') ?? []) as Buffer[];
    expect(octetsOf(subject).toString()).toBe('ends like a literal {5}');
    expect(octetsOf(answer?.items.get('BODY[]')).toString('latin1')).toContain(
      LOOKS_LIKE_IMAP.replace(/\n/g, '\r\n'),
    );
    expect(octetsOf(answer?.items.get('BODY[TEXT]')).toString('latin1')).toContain(
      '\r\n* 1 EXPUNGE\r\nt1 OK done\r\n',
    );
    expect((await client.item(uid, 'BODY.PEEK[HEADER.FIELDS (X-Odd Comments)]')).toString()).toBe(
      'X-Odd: "{5}" \\ (\r\nComments: {12}\r\n\r\n',
    );
  }
  const found = await client.ok('UID SEARCH SUBJECT "like a literal {5}"');
  expect(found.untagged.map(({ text }) => text)).toEqual(['SEARCH 1 2']);
  direct.close();
  client.close();
});

test('32: SELECT, FETCH, SELECT, FETCH in one go: each sees the messages of its own mailbox', async () => {
  const direct = await mailbox.direct();
  for (const [name, words] of [
    ['First', 'enveloped by GCM'],
    ['Second', 'opaque-signed'],
  ] as const) {
    await direct.create(name);
    await direct.append(name, mailbox.message(words).octets);
  }
  await direct.create('Third');
  await direct.append('Third', mailbox.message('plain').octets);
  const client = await mailbox.through();
  const expected: [string, string | null][] = [];
  for (let round = 0; round < 3; round++) {
    for (const [name, words] of [
      ['First', 'words of enveloped by GCM.'],
      ['Third', 'words of plain.'],
      ['Second', 'words of opaque-signed.'],
    ] as const) {
      expected.push([client.send(`SELECT ${name}`), null]);
      expected.push([client.send('UID FETCH 1 (BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])'), 'Content-Type: ']);
      expected.push([client.send('UID FETCH 1 (BODYSTRUCTURE)'), 'BODYSTRUCTURE']);
      expected.push([client.send('FETCH 1 (BODY.PEEK[])'), words]);
    }
  }
  const boundaries = new Set<string>();
  for (const [tag, words] of expected) {
    const { status, untagged } = await client.answer(tag);
    expect(status).toBe('OK');
    const said = untagged.map(({ octets }) => octets.toString('latin1')).join('');
    if (words !== null) expect(said).toContain(words);
    for (const [boundary] of said.matchAll(/=_sealgate_[a-z2-7]{26}/g)) boundaries.add(boundary);
  }
  expect(boundaries.size).toBe(2);
  direct.close();
  client.close();
});
