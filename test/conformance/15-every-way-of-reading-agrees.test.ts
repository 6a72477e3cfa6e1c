import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectAgreement } from './support/agreement.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

test('15: every class reads the same, whole, in pieces and part by part, and as BODYSTRUCTURE and RFC822.SIZE say', async () => {
  const before = await mailbox.originals();
  for (const message of mailbox.messages) {
    const { size, whole } = await expectAgreement(() => mailbox.through('EXAMINE INBOX'), message.uid);
    expect([message.name, size]).toEqual([message.name, message.octets.length]);
    if (message.longer === true) expect(whole.length - size, message.name).toBeGreaterThan(0);
    else expect([message.name, whole.length]).toEqual([message.name, size]);
    expect([message.name, whole.equals(message.octets)]).toEqual([
      message.name,
      message.shown === 'as-stored',
    ]);
    if (message.words !== null) expect(whole.toString('latin1'), message.name).toContain(message.words);
  }
  expect(await mailbox.originals()).toEqual(before);
});

test('15: the same where the mail server keeps messages in another form (sdbox)', async () => {
  const other = await seededMailbox({ dovecot: 'mail_location = sdbox:%h/sdbox\n' });
  try {
    for (const { name, uid, octets, shown } of other.messages) {
      const { size, whole } = await expectAgreement(() => other.through('EXAMINE INBOX'), uid, [3_000]);
      expect([name, size]).toEqual([name, octets.length]);
      expect([name, whole.equals(octets)]).toEqual([name, shown === 'as-stored']);
    }
    const direct = await other.direct('EXAMINE INBOX');
    for (const { uid, octets } of other.messages)
      expect((await direct.item(uid, 'BODY.PEEK[]')).equals(octets)).toBe(true);
    direct.close();
  } finally {
    await other.stop();
  }
});
