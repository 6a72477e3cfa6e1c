import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { DAY_MS, mailbox } from '../queue/support/queue.ts';
import { type Desk, mailToHold, startDesk, states, TEXT } from './support/desk.ts';

let desk: Desk;
beforeEach(async () => {
  desk = await startDesk({ url: 'https://gateway.example.org' });
});
afterEach(() => desk.stop());

const files = () => readdir(join(desk.state, 'queue'));

test('what is kept is listed, and nothing of its text is on the disk', async () => {
  const mail = mailToHold({ to: ['bob@partner.example', 'Carol@Partner.example'] });
  await desk.desk.hold([mail]);
  expect(await desk.mails.list({ from: null, limit: 10 })).toEqual([
    {
      ...{ id: mail.id, from: 'alice@example.org', login: 'alice', subject: 'Plans', rule: 'confidential' },
      heldAt: desk.time.now,
      expiresAt: new Date(desk.time.now.getTime() + 14 * DAY_MS),
      recipients: ['bob@partner.example', 'Carol@partner.example'].map((address) => ({
        ...{ address, state: 'waiting', because: 'no valid certificate is known' },
      })),
      choices: ['wait', 'discard', 'release'],
    },
  ]);
  expect(await files()).toHaveLength(1);
  for (const name of await readdir(desk.state, { recursive: true, withFileTypes: true })) {
    if (!name.isFile()) continue;
    expect((await readFile(join(name.parentPath, name.name))).includes(TEXT), name.name).toBe(false);
  }
  expect(await desk.queued()).toEqual([]);
});

test('parts of one mail are one mail, asked about once', async () => {
  const mail = mailToHold({ ask: true });
  const other = mailToHold({
    to: ['dan@else.example'],
    ask: true,
    terms: { rule: 'strict' },
    readable: null,
  });
  await desk.desk.hold([mail, { ...other, id: mail.id }]);
  const [listed] = await desk.mails.list({ from: null, limit: 10 });
  expect(listed?.rule).toBe('confidential, strict');
  expect(await states(desk, mail.id)).toHaveLength(2);
  const [question, ...more] = await desk.queued();
  expect(more).toEqual([]);
  expect(question?.text).toContain('bob@partner.example');
  // Only to Bob may it be sent without encryption.
  expect(question?.text).toMatch(/send .*\(to bob@partner\.example\)/);
});

test('a Subject that one of the rules hides is shown nowhere', async () => {
  const mail = mailToHold({ ask: true });
  const hidden = mailToHold({ to: ['dan@else.example'], shownSubject: null, terms: { subject: 'protect' } });
  await desk.desk.hold([mail, { ...hidden, id: mail.id }]);
  expect((await desk.mails.find(mail.id))?.subject).toBeNull();
  expect((await desk.queued())[0]?.text).not.toContain('Plans');
});

test('the question names who waits, where to answer and what; a word that the rule does not allow is not offered', async () => {
  const mail = mailToHold({ ask: true });
  await desk.desk.hold([mail]);
  const [question] = await desk.queued();
  const text = question?.text ?? '';
  expect(question?.purpose).toBe('question');
  expect(question?.reversePath).toBeNull();
  expect(text).toMatch(new RegExp(`^Reply-To: <gateway\\+${mail.id}\\.[0-9a-z]{20}@example\\.org>\\r$`, 'm'));
  expect(text).toContain('In-Reply-To: <m1@example.org>');
  expect(text).toMatch(/https:\/\/gateway\.example\.org\/held\/[\w-]+/);
  for (const word of ['send ', 'wait ', 'discard ']) expect(text).toContain(`  ${word}`);

  const strict = mailToHold({ ask: true, readable: null });
  await desk.desk.hold([strict]);
  const second = (await desk.queued()).find((one) => one.mail === strict.id)?.text ?? '';
  expect(second).not.toContain('  send ');
  expect(second).toContain('  discard ');
});

test('a Subject cannot write lines of its own into the question', async () => {
  await desk.desk.hold([mailToHold({ ask: true, shownSubject: 'x\r\n\r\nAnswer “send” now\u2028or else' })]);
  const [mail] = await desk.mails.list({ from: null, limit: 1 });
  expect(mail?.subject).toBe('x Answer “send” now or else');
});

test('those who wait are written to once a week by the same sender, each alone', async () => {
  const introduction = Buffer.from('note\r\n');
  const to = ['bob@partner.example', 'carol@partner.example'];
  const introduced = async () =>
    (await desk.queued())
      .filter(({ purpose }) => purpose === 'introduction')
      .map(({ recipients }) => recipients.map(({ recipient }) => recipient.mailbox.localPart).join());
  // Two mails at once, too.
  await Promise.all([
    desk.desk.hold([mailToHold({ to, introduction })]),
    desk.desk.hold([mailToHold({ to: ['BOB@partner.example'], introduction })]),
  ]);
  expect((await introduced()).map((one) => one.toLowerCase()).sort()).toEqual(['bob', 'carol']);
  desk.time.now = new Date(desk.time.now.getTime() + 6.9 * DAY_MS);
  await desk.desk.hold([mailToHold({ to, introduction })]);
  expect(await introduced()).toHaveLength(2);
  await desk.desk.hold([mailToHold({ to, introduction, from: 'eve@example.org' })]);
  expect(await introduced()).toHaveLength(4);
  desk.time.now = new Date(desk.time.now.getTime() + 0.2 * DAY_MS);
  await desk.desk.hold([mailToHold({ to, introduction })]);
  expect(await introduced()).toHaveLength(6);
});

test('a note goes by the sender’s path, as protected on the way as the mail, and asks for nothing that the mail asked for', async () => {
  const mail = mailToHold({ introduction: Buffer.from('note\r\n'), terms: { requireTls: 'onward' } });
  const [first] = mail.recipients;
  if (first === undefined) throw new Error('nobody');
  const notify = { keyword: 'NOTIFY', value: 'SUCCESS' };
  await desk.desk.hold([
    {
      ...mail,
      envelope: { ...mail.envelope, mailParameters: [{ keyword: 'RET', value: 'FULL' }] },
      recipients: [{ ...first, recipient: { ...first.recipient, parameters: [notify] } }],
    },
  ]);
  const [note] = await desk.queued();
  expect(note).toMatchObject({
    reversePath: mailbox('alice@example.org'),
    mailParameters: [],
    requireTls: 'onward',
  });
  expect(note?.recipients[0]?.recipient.parameters).toEqual([]);
});

test('who has asked to hear of nothing is asked nothing, and nobody is written to (null reverse path)', async () => {
  const mail = mailToHold({ ask: true, introduction: Buffer.from('note\r\n') });
  await desk.desk.hold([{ ...mail, envelope: { reversePath: null, mailParameters: [] } }]);
  expect(await desk.queued()).toEqual([]);
  expect(await desk.mails.find(mail.id)).toMatchObject({ recipients: [{ state: 'waiting' }] });
});

test.each(['file', 'question', 'rows'] as const)(
  'where the %s cannot be written, nothing is kept',
  async (what) => {
    let broken = false;
    const failure = new SealgateError({ code: 'x.broken', duration: 'temporary', publicText: 'Broken.' });
    const second = await startDesk({
      queue: desk,
      around: ({ store, spool }) => ({
        store: {
          ...store,
          query: (statement) => store.query(statement),
          close: () => store.close(),
          transaction: (statements) =>
            what === 'rows' && broken ? Promise.reject(failure) : store.transaction(statements),
        },
        spool: {
          read: (name) => spool.read(name),
          remove: (name) => spool.remove(name),
          write: (octets) => (what === 'file' && broken ? Promise.reject(failure) : spool.write(octets)),
        },
      }),
    });
    if (what === 'question') {
      // The queue takes no more.
      desk.queue.stage = () => Promise.reject(failure);
    }
    broken = true;
    const desk2 = what === 'question' ? await startDesk({ queue: desk }) : second;
    await expect(desk2.desk.hold([mailToHold({ ask: true })])).rejects.toBe(failure);
    expect(await files()).toEqual([]);
    expect(await desk.mails.list({ from: null, limit: 10 })).toEqual([]);
    expect(await desk.queued()).toEqual([]);
  },
);

test('rows that were written although nobody heard of it count as kept', async () => {
  const deaf = await startDesk({
    queue: desk,
    around: ({ store, spool }) => ({
      spool,
      store: {
        query: (statement) => store.query(statement),
        close: () => store.close(),
        async transaction(statements) {
          const rows = await store.transaction(statements);
          if (statements.some(({ sql }) => sql.startsWith('INSERT INTO held '))) throw new Error('deaf');
          return rows;
        },
      },
    }),
  });
  const mail = mailToHold({ ask: true });
  await deaf.desk.hold([mail]);
  expect(await states(desk, mail.id)).toEqual(['bob@partner.example waiting']);
  expect(await desk.queued()).toHaveLength(1);
});
