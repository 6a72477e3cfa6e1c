import { afterAll, beforeAll, expect, test } from 'vitest';
import { ImapClient } from './support/imap-client.ts';
import { fetched } from './support/imap-response.ts';
import { appendAll, smallMail } from './support/many-messages.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

test('29: another session expunges before, at and behind messages whose structures are asked for: numbers stay right', async () => {
  const { octets } = mailbox.message('enveloped by GCM');
  const direct = await mailbox.direct();
  await direct.create('Moving');
  // 1 to 30; every third is sealed.
  await appendAll(
    direct,
    'Moving',
    Array.from({ length: 30 }, (_, index) => (index % 3 === 0 ? octets : smallMail(`mail ${index}`))),
  );
  await direct.ok('SELECT Moving');
  const client = await mailbox.through('SELECT Moving');
  // The client's own list: UIDs by their numbers, as its server tells of them.
  const uids = Array.from({ length: 30 }, (_, index) => index + 1);
  for (let round = 0; round < 8; round++) {
    const left = uids.length;
    const command = round % 2 === 0 ? 'UID FETCH 1:30' : `FETCH 1:${left}`;
    const tag = client.send(`${command} (UID BODYSTRUCTURE BODY.PEEK[1])`);
    // In the middle of it, somebody else takes out the first, a sealed one and the last.
    const gone = [uids[0], uids[Math.floor(left / 2)], uids[left - 1]];
    await direct.ok(`UID STORE ${gone.join(',')} +FLAGS.SILENT (\\Deleted)`);
    await direct.ok('EXPUNGE');
    const { untagged } = await client.answer(tag);
    for (const response of [...untagged, ...(await client.ok('NOOP')).untagged]) {
      const expunged = /^([0-9]+) EXPUNGE$/.exec(response.text)?.[1];
      if (expunged !== undefined) {
        // RFC 9051 §7.5.1: none while a FETCH by number is under way.
        uids.splice(Number(expunged) - 1, 1);
        continue;
      }
      const answer = fetched(response);
      const uid = answer?.items.get('UID');
      if (answer === null || uid === undefined) continue;
      expect([round, answer.msn, Number(uid)]).toEqual([round, answer.msn, uids[answer.msn - 1]]);
      if (answer.items.has('BODY[1]') && Number(uid) % 3 === 1)
        expect(String(answer.items.get('BODY[1]'))).toContain('words of enveloped by GCM.');
    }
    expect(uids.length).toBe(left - 3);
  }
  client.close();
  direct.close();
});

test('30: the same octets at once, line by line and one to a segment are answered alike', async () => {
  const { login, password } = mailbox.system.user('bob');
  const draft = 'Subject: in pieces\r\n\r\nx{3}\r\n';
  const script = [
    `a1 LOGIN {${login.length}+}\r\n${login} {${password.length}+}\r\n${password}\r\n`,
    // Behind SELECT, Dovecot itself may search before it has what was appended.
    `a2 APPEND Pieces (\\Draft) {${draft.length}+}\r\n${draft}\r\n`,
    `a3 SELECT Pieces\r\na4 NOOP\r\na5 UID FETCH 1:* (UID BODYSTRUCTURE)\r\n`,
    'a6 UID SEARCH HEADER "Subject" {9+}\r\nin pieces\r\n',
    'a7 UID FETCH 1 BODY.PEEK[HEADER.FIELDS ({7+}\r\nSubject {12+}\r\nContent-Type)]\r\n',
    'a8 FETCH 1 (BODY.PEEK[1.1]<0.50> RFC822.SIZE)\r\n',
    'a9 LOGOUT\r\n',
  ].join('');
  const outcomes: string[] = [];
  for (const size of [script.length, 40, 7, 1]) {
    const direct = await mailbox.direct();
    await direct.command('DELETE Pieces');
    await direct.create('Pieces');
    await direct.append('Pieces', mailbox.message('enveloped by GCM').octets);
    direct.close();
    const client = await ImapClient.open(mailbox.system.imapPort, mailbox.system.pki.ca.certificate);
    for (let at = 0; at < script.length; at += size) {
      // One write is one TLS record; nothing joins them.
      await new Promise<void>((resolve) =>
        client.socket.write(script.slice(at, at + size), 'latin1', () => resolve()),
      );
    }
    const responses = await client.rest();
    expect(responses.filter(({ tag }) => tag.startsWith('a')).map(({ tag }) => tag)).toEqual([
      'a1',
      'a2',
      'a3',
      'a4',
      'a5',
      'a6',
      'a7',
      'a8',
      'a9',
    ]);
    outcomes.push(comparable(responses.map(({ octets }) => octets.toString('latin1')).join('')));
  }
  for (const outcome of outcomes) {
    expect(outcome).toContain('\r\n* SEARCH 2\r\n');
    expect(outcome).toBe(outcomes[0]);
  }
});

/** Without what is another each time: when, how long, and whose UIDVALIDITY. */
function comparable(text: string): string {
  return text
    .replace(/ \([0-9.]+ \+ [^)]*\)/g, '')
    .replace(/UIDVALIDITY [0-9]+|APPENDUID [0-9]+|HIGHESTMODSEQ [0-9]+/g, 'n')
    .replace(/=_sealgate_[a-z2-7]{26}/g, 'boundary')
    .replace(/\* [0-9]+ RECENT\r\n|\\Recent ?/g, '');
}

/** What stands before a literal, in it and behind it, of every way in which a command is taken. */
const WITH_LITERALS = [
  'SEARCH HEADER "Subject" {9+}\r\nin pieces',
  'UID SEARCH TEXT {5+}\r\nwords OR FROM {3+}\r\nbob SUBJECT {1+}\r\nx',
  'SORT (ARRIVAL) UTF-8 TEXT {5+}\r\nwords',
  'THREAD REFERENCES UTF-8 TEXT {5+}\r\nwords',
  'COPY 1 {6+}\r\nCopied',
  'UID MOVE 999 {6+}\r\nCopied',
  'APPEND {6+}\r\nCopied (\\Draft) {17+}\r\nSubject: x\r\n\r\nx\r\n',
  'FETCH 1 BODY.PEEK[HEADER.FIELDS ({7+}\r\nSubject {4+}\r\nFrom)]',
  'ID ({4+}\r\nname {5+}\r\nouter)',
  'STATUS {6+}\r\nCopied (MESSAGES)',
  'LIST {0+}\r\n {6+}\r\nCopied',
  'CREATE {5+}\r\nOther',
  'RENAME {5+}\r\nOther {7+}\r\nAnother',
  'DELETE {7+}\r\nAnother',
  'EXAMINE {6+}\r\nCopied',
];

test('30: a command with literals is answered, wherever what has come of it has all been dealt with before the rest comes', async () => {
  const direct = await mailbox.direct();
  await direct.create('Copied');
  direct.close();
  const other = await mailbox.through('EXAMINE INBOX');
  for (const command of WITH_LITERALS) {
    const client = await mailbox.through('SELECT INBOX');
    for (const octet of Buffer.from(`t99 ${command}\r\n`, 'latin1')) {
      client.socket.write(Buffer.from([octet]));
      // By its answer the gateway has read what lay there before it.
      await other.ok('NOOP');
    }
    expect([command, (await client.answer('t99')).status]).toEqual([command, 'OK']);
    expect([command, (await client.command('NOOP')).status]).toEqual([command, 'OK']);
    client.close();
  }
  other.close();
});

test('30: three commands in one segment, with an encrypted message between them, are answered in order', async () => {
  const client = await mailbox.through('SELECT INBOX');
  const { uid } = mailbox.message('triple wrapped');
  client.socket.write(`x1 NOOP\r\nx2 UID FETCH ${uid} (BODY.PEEK[1])\r\nx3 NOOP\r\n`);
  const tags: string[] = [];
  while (!tags.includes('x3')) {
    const { tag, text } = await client.response();
    if (tag !== '*') tags.push(tag);
    if (tag === 'x2') expect(text).toMatch(/^OK/);
  }
  expect(tags).toEqual(['x1', 'x2', 'x3']);
  client.close();
});

test('30: of FETCHes sent in one go, those that ask for the UID get it, whatever the others ask of the same messages', async () => {
  const { msn, uid } = { msn: 5, uid: mailbox.messages[4]?.uid };
  for (const item of ['BODY.PEEK[]', 'ENVELOPE', 'BODY.PEEK[HEADER.FIELDS (Content-Type)]']) {
    const client = await mailbox.through('EXAMINE INBOX');
    const tags = new Set([
      client.send(`FETCH ${msn} (${item})`),
      client.send(`FETCH ${msn}:${msn + 1} (UID ${item})`),
      client.send(`UID FETCH ${uid} (${item})`),
      client.send(`FETCH ${msn} (UID FLAGS)`),
    ]);
    let told = 0;
    while (tags.size > 0) {
      const response = await client.response();
      tags.delete(response.tag);
      const answer = fetched(response);
      if (answer?.msn === msn && answer.items.has('UID')) told++;
    }
    expect([item, told]).toEqual([item, expect.toSatisfy((count: number) => count >= 3)]);
    client.close();
  }
});

test('33: \\Seen and the FLAGS responses are those of a mail server alone, for every item, in SELECT and EXAMINE', async () => {
  const items = [
    ...['BODY[]', 'BODY[1]', 'BODY[TEXT]', 'BODY[HEADER]', 'BODY[1.MIME]', 'RFC822', 'RFC822.TEXT'],
    ...['RFC822.HEADER', 'BODY.PEEK[]', 'BODY.PEEK[1]', 'BODYSTRUCTURE', 'ENVELOPE', 'BODY[]<0.100>'],
    ...['BODY[HEADER.FIELDS (Content-Type)]', 'BODY[]<999999.10>'],
  ];
  const direct = await mailbox.direct();
  for (const [name, octets] of [
    ['Sealed', mailbox.message('enveloped by GCM').octets],
    ['Plain', mailbox.message('plain with parts').octets],
  ] as const) {
    await direct.create(name);
    await appendAll(
      direct,
      name,
      items.flatMap(() => [octets, octets]),
    );
  }
  for (const access of ['EXAMINE', 'SELECT']) {
    const client = await mailbox.through(`${access} Sealed`);
    const alone = await mailbox.direct(`${access} Plain`);
    for (const [index, item] of items.entries()) {
      for (const command of [
        `FETCH ${2 * index + 1} (${item})`,
        `UID FETCH ${2 * index + 2} (FLAGS ${item})`,
      ]) {
        const told: string[][] = [];
        for (const reader of [client, alone])
          told.push(
            (await reader.fetch(command)).flatMap((each) =>
              each.items.has('FLAGS') ? [`${each.msn} ${JSON.stringify(each.items.get('FLAGS'))}`] : [],
            ),
          );
        const flags = told.map((each) => each.map((text) => text.replace(/"\\\\\\\\Recent",?/, '')));
        expect([access, command, flags[0]?.at(-1)]).toEqual([access, command, flags[1]?.at(-1)]);
      }
    }
    const seen = await Promise.all(
      [client, alone].map(async (reader) => (await reader.ok('UID SEARCH SEEN')).untagged[0]?.text),
    );
    expect(seen[0]).toBe(seen[1]);
    client.close();
    alone.close();
  }
  direct.close();
});
