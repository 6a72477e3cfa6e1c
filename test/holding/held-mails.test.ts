import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Choice } from '../../src/holding/held-mail.ts';
import { newMailId } from '../../src/ids.ts';
import { type Desk, mailToHold, startDesk, states } from './support/desk.ts';

let desk: Desk;
beforeEach(async () => {
  desk = await startDesk();
});
afterEach(() => desk.stop());

const BOB = 'bob@partner.example';
const CAROL = 'carol@partner.example';
const ALICE = 'alice@example.org';
const choose = (id: ReturnType<typeof newMailId>, choice: Choice, recipients: string[] | null = null) =>
  desk.mails.choose(id, choice, { recipients, by: ALICE });
const purposes = async () => (await desk.queued()).map(({ purpose }) => purpose).sort();

test('what is chosen for some leaves the others waiting', async () => {
  const mail = mailToHold({ to: [BOB, CAROL], ask: true });
  await desk.desk.hold([mail]);
  expect((await choose(mail.id, 'send-signed', [CAROL])).kind).toBe('done');
  expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`, `${CAROL} leaving`]);
  expect(await choose(mail.id, 'discard', [CAROL])).toMatchObject({ kind: 'refused' });
  expect(await choose(mail.id, 'discard', ['mallory@else.example'])).toMatchObject({ kind: 'refused' });
  expect(await choose(mail.id, 'discard', [])).toMatchObject({ kind: 'refused' });
  expect((await choose(mail.id, 'discard', [BOB])).kind).toBe('done');
  expect(await purposes()).toEqual(['question', 'released']);
  expect((await desk.mails.find(mail.id))?.choices).toEqual([]);
  expect(await desk.mails.list({ from: ALICE, limit: 10 })).toEqual([]);
});

test('who is chosen may be spelt in any way that means the same mailbox', async () => {
  const mail = mailToHold({ to: ['bob@partner.example', 'carol@partner.example'] });
  await desk.desk.hold([mail]);
  const recipients = ['"bob"@Partner.EXAMPLE'];
  const outcome = await desk.mails.choose(mail.id, 'discard', { recipients, by: 'root' });
  expect(outcome.kind).toBe('done');
  expect(await states(desk, mail.id)).toEqual([
    'bob@partner.example discarded',
    'carol@partner.example waiting',
  ]);
});

test('nothing is sent unencrypted where the rule does not allow it, whoever asks', async () => {
  const mail = mailToHold();
  await desk.desk.hold([mail]);
  expect(await choose(mail.id, 'send-signed')).toMatchObject({
    ...{ kind: 'refused', publicText: expect.stringContaining('may not be sent unless it is encrypted') },
  });
  const forSender = { recipients: null, by: 'root', forSender: true };
  expect((await desk.mails.choose(mail.id, 'send-signed', forSender)).kind).toBe('refused');
  expect(await desk.queued()).toEqual([]);
  expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`]);
});

test('what allows it and what does not are not mixed: nothing of it leaves', async () => {
  const mail = mailToHold({ ask: true });
  await desk.desk.hold([mail, { ...mailToHold({ to: [CAROL] }), id: mail.id }]);
  expect(await choose(mail.id, 'send-signed')).toMatchObject({ kind: 'refused' });
  expect(await purposes()).toEqual(['question']);
  expect((await choose(mail.id, 'send-signed', [BOB])).kind).toBe('done');
});

test('“release” sends what can be encrypted now, and nothing else', async () => {
  const mail = mailToHold({ to: [BOB, CAROL] });
  await desk.desk.hold([mail]);
  desk.known.set(CAROL, 'certificate');
  expect((await choose(mail.id, 'release')).kind).toBe('done');
  expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`, `${CAROL} leaving`]);
});

test('who is discarded or sent signed by an operator is told to the sender', async () => {
  const [one, two] = [mailToHold({ ask: true }), mailToHold({ ask: true })];
  await desk.desk.hold([one]);
  await desk.desk.hold([two]);
  const forSender = { recipients: null, by: 'root', forSender: true };
  await desk.mails.choose(one.id, 'discard', forSender);
  await desk.mails.choose(two.id, 'send-signed', forSender);
  expect(await purposes()).toEqual(['notice', 'question', 'question', 'released', 'report']);
  const all = await desk.queued();
  expect(all.find(({ purpose }) => purpose === 'report')?.text).toContain('discarded by an administrator');
  expect(all.find(({ purpose }) => purpose === 'notice')?.text).toContain('An administrator of the gateway');
});

test('of one mail that is chosen about twice at once, both choices do not count', async () => {
  const mail = mailToHold({ ask: true });
  await desk.desk.hold([mail]);
  const kinds = await Promise.all([choose(mail.id, 'send-signed'), choose(mail.id, 'discard')]);
  expect(kinds.map(({ kind }) => kind).sort()).toEqual(['done', 'refused']);
});

test('mail that nobody knows is unknown', async () => {
  expect(await choose(newMailId(), 'wait')).toEqual({ kind: 'unknown' });
  expect(await desk.mails.find(newMailId())).toBeNull();
});

test('a list has the mail of one address, in whatever case it is asked for, and nobody else’s', async () => {
  await desk.desk.hold([mailToHold({ from: 'alice@example.org' })]);
  await desk.desk.hold([mailToHold({ from: 'Alice@example.org' })]);
  await desk.desk.hold([mailToHold({ from: 'bob@example.org' })]);
  const froms = async (from: string | null) =>
    (await desk.mails.list({ from, limit: 10 })).map((mail) => mail.from).sort();
  expect(await froms('alice@EXAMPLE.org')).toEqual(['alice@example.org']);
  expect(await froms('Alice@example.org')).toEqual(['Alice@example.org']);
  expect(await froms('ALICE@example.org')).toHaveLength(1);
  expect(await froms(null)).toHaveLength(3);
  expect(await froms("' OR 1=1 --")).toEqual([]);
});
