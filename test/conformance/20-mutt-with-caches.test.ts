import { afterAll, beforeAll, expect, test } from 'vitest';
import { mutt } from '../support/services/mutt.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

test.each(['mutt', 'neomutt'] as const)(
  '20: %s keeps what it has read over two sessions: the second one says the same and opens nothing',
  async (name) => {
    const { system, messages } = mailbox;
    const before = await mailbox.originals();
    await using client = await mutt(name, {
      port: system.imapPort,
      ...system.user('bob'),
      caFile: system.pki.ca.certificateFile,
    });
    const first = await client.session();
    expect(first.succeeded).toBe(true);
    const text = first.mbox.toString('latin1');
    for (const { words } of messages) if (words !== null) expect(text).toContain(words);
    expect(text.match(/^From [^ ]+ /gm)?.length).toBe(messages.length);
    const uses = mailbox.keyUses();
    const second = await client.session();
    expect(second.mbox.equals(first.mbox)).toBe(true);
    expect(mailbox.keyUses()).toBe(uses);
    expect(await mailbox.originals()).toEqual(before);
  },
);

test('20: RFC822.HEADER, ENVELOPE and sizes are the same in every session', async () => {
  const items = '(UID RFC822.SIZE ENVELOPE RFC822.HEADER BODYSTRUCTURE)';
  const sessions: string[] = [];
  for (let round = 0; round < 3; round++) {
    const client = await mailbox.through('SELECT INBOX');
    const answers = await client.fetch(`FETCH 1:* ${items}`);
    sessions.push(JSON.stringify(answers.map((answer) => [...answer.items])));
    client.close();
  }
  expect(sessions[1]).toBe(sessions[0]);
  expect(sessions[2]).toBe(sessions[0]);
});
