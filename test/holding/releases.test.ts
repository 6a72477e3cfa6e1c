import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { isOfMail } from '../../src/holding/held-rows.ts';
import type { MailId } from '../../src/ids.ts';
import { DAY_MS } from '../queue/support/queue.ts';
import { type Desk, mailToHold, startDesk, states } from './support/desk.ts';

let desk: Desk;
beforeEach(async () => {
  desk = await startDesk();
});
afterEach(() => desk.stop());

const BOB = 'bob@partner.example';
const CAROL = 'carol@partner.example';
const files = () => readdir(join(desk.state, 'queue'));
const queued = async () =>
  (await desk.queued()).map(
    ({ purpose, recipients }) =>
      `${purpose} ${recipients.map(({ recipient: { mailbox } }) => `${mailbox.localPart}@${mailbox.domain}`)}`,
  );

async function look(id: MailId): Promise<void> {
  for (const part of await desk.held.parts([isOfMail(id)])) await desk.releases.look(part);
}

const later = (days: number) => {
  desk.time.now = new Date(desk.time.now.getTime() + days * DAY_MS);
};

test('each leaves alone when a certificate is there; the sealed file goes with the last', async () => {
  const mail = mailToHold({ to: [BOB, CAROL] });
  await desk.desk.hold([mail]);
  await look(mail.id);
  expect(await queued()).toEqual([]);
  desk.known.set(BOB, 'certificate');
  await look(mail.id);
  expect(await queued()).toEqual([`released ${BOB}`]);
  expect(await states(desk, mail.id)).toEqual([`${BOB} leaving`, `${CAROL} waiting`]);
  expect(await files()).toHaveLength(2);
  desk.known.set(CAROL, 'certificate');
  await look(mail.id);
  await look(mail.id);
  expect((await queued()).sort()).toEqual([`released ${BOB}`, `released ${CAROL}`]);
  expect((await desk.queued()).map(({ text }) => text.slice(0, 35)).sort()).toEqual(
    [`ENCRYPTED FOR ${BOB}: `, `ENCRYPTED FOR ${CAROL}`].map((text) => text.slice(0, 35)),
  );
  // The two on their way.
  expect(await files()).toHaveLength(2);
});

test('it leaves by the sender’s path, with what the client asked for, by TLS as the rule has it, and into the archive', async () => {
  const notify = { keyword: 'NOTIFY', value: 'FAILURE,SUCCESS' };
  const mail = mailToHold({ terms: { requireTls: 'onward', appendTo: 'sent' } });
  const [bob] = mail.recipients;
  if (bob === undefined) throw new Error('nobody');
  const ret = { keyword: 'RET', value: 'HDRS' };
  await desk.desk.hold([
    {
      ...mail,
      envelope: { ...mail.envelope, mailParameters: [ret] },
      recipients: [{ ...bob, recipient: { ...bob.recipient, parameters: [notify] } }],
    },
  ]);
  desk.known.set(BOB, 'certificate');
  await look(mail.id);
  const all = await desk.queued();
  expect(all.find(({ purpose }) => purpose === 'released')).toMatchObject({
    ...{ mail: mail.id, reversePath: { localPart: 'alice', domain: 'example.org' }, requireTls: 'onward' },
    mailParameters: [ret],
    recipients: [{ recipient: { parameters: [notify] } }],
    expiresAt: new Date(desk.time.now.getTime() + 5 * DAY_MS),
  });
  const copy = all.find(({ purpose }) => purpose === 'archive');
  expect(copy).toMatchObject({
    way: { kind: 'append', archive: 'sent', login: 'alice' },
    requireTls: 'onward',
  });
  expect(copy?.text).toBe(all.find(({ purpose }) => purpose === 'released')?.text);
});

test('any number of looks at once release once', async () => {
  const mail = mailToHold({ to: [BOB, CAROL] });
  await desk.desk.hold([mail]);
  desk.known.set(BOB, 'certificate').set(CAROL, 'certificate');
  // A second process, too, which has turns of its own.
  const other = await startDesk({ queue: desk });
  other.known.set(BOB, 'certificate').set(CAROL, 'certificate');
  const [part] = await desk.held.parts([isOfMail(mail.id)]);
  if (part === undefined) throw new Error('nothing');
  await Promise.all([desk, other, desk, other, other].map(({ releases }) => releases.look(part)));
  expect((await queued()).sort()).toEqual([`released ${BOB}`, `released ${CAROL}`]);
  expect(await files()).toHaveLength(2);
});

test.each([1, 2, 3, 4, 5, 6])(
  'of release, expiry and discarding at the same moment one wins (%i)',
  async (seed) => {
    const mail = mailToHold();
    await desk.desk.hold([mail]);
    const desks = [desk, await startDesk({ queue: desk }), await startDesk({ queue: desk })];
    const [one, two, three] = desks;
    if (one === undefined || two === undefined || three === undefined) throw new Error('three are needed');
    one.known.set(BOB, 'certificate');
    const [part] = await desk.held.parts([isOfMail(mail.id)]);
    if (part === undefined) throw new Error('nothing');
    later(15);
    const acts = [
      () => one.releases.look(part),
      () => two.releases.look(part),
      () => three.mails.choose(mail.id, 'discard', { recipients: null, by: 'alice@example.org' }),
    ];
    // Who asks first differs.
    const first = seed % 3;
    await Promise.all([...acts.slice(first), ...acts.slice(0, first)].map((act) => act()));
    const [state = ''] = await states(desk, mail.id);
    const left = await queued();
    expect([state, left]).toEqual(
      {
        [`${BOB} leaving`]: [state, [`released ${BOB}`]],
        [`${BOB} expired`]: [state, ['report alice@example.org']],
        [`${BOB} discarded`]: [state, []],
      }[state],
    );
  },
);

test('whose time is over is looked at a last time; the rest is reported, with nothing of the text', async () => {
  const mail = mailToHold({ to: [BOB, CAROL] });
  await desk.desk.hold([
    {
      ...mail,
      envelope: {
        ...mail.envelope,
        mailParameters: [
          { keyword: 'RET', value: 'FULL' },
          { keyword: 'ENVID', value: 'QQ314' },
        ],
      },
    },
  ]);
  later(13.9);
  await look(mail.id);
  expect(await queued()).toEqual([]);
  later(0.2);
  desk.known.set(BOB, 'certificate');
  await look(mail.id);
  expect((await queued()).sort()).toEqual(['released bob@partner.example', 'report alice@example.org']);
  const report = (await desk.queued()).find(({ purpose }) => purpose === 'report');
  expect(report?.reversePath).toBeNull();
  expect(report?.text).toContain(`Final-Recipient: rfc822; ${CAROL}\r\nAction: failed\r\nStatus: 5.4.7`);
  // Nothing was tried: it has waited, and for what is said.
  expect(report?.text).toMatch(/has waited for as long as it may.*: no valid certificate is known\. Ask for/);
  expect(report?.text).not.toContain('tried for too long');
  expect(report?.text).toContain('Original-Envelope-Id: QQ314');
  expect(report?.text).toContain('no valid certificate is known');
  expect(report?.text).toContain('Message-ID: <m1@example.org>');
  expect(report?.text).not.toContain(`Final-Recipient: rfc822; ${BOB}`);
  expect(report?.text).not.toContain('third stone');
  expect(await states(desk, mail.id)).toEqual([`${BOB} leaving`, `${CAROL} expired`]);
});

test('a Subject that is hidden on the way is not in the report', async () => {
  const mail = mailToHold({ shownSubject: null, terms: { subject: 'protect' } });
  await desk.desk.hold([mail]);
  later(15);
  await look(mail.id);
  const [report] = await desk.queued();
  expect(report?.text).not.toContain('Plans');
});

test('a Subject that the rule of one part hides is not in what is said of another part', async () => {
  const mail = mailToHold({ ask: true });
  const hidden = mailToHold({ to: [CAROL], shownSubject: null, terms: { subject: 'protect' } });
  await desk.desk.hold([mail, { ...hidden, id: mail.id }]);
  const chosen = { recipients: [BOB], by: 'root', forSender: true };
  await desk.mails.choose(mail.id, 'send-signed', chosen);
  later(15);
  await look(mail.id);
  const all = await desk.queued();
  expect(all.map(({ purpose }) => purpose).sort()).toEqual(['notice', 'question', 'released', 'report']);
  for (const { text } of all.filter(({ purpose }) => purpose !== 'released')) {
    expect(text).not.toContain('Plans');
  }
});

test.each([
  ['who asked for none (NOTIFY=NEVER)', 'NEVER'],
  ['who asked for others', 'SUCCESS'],
])('there is no report for those %s', async (_, value) => {
  const mail = mailToHold();
  const [bob] = mail.recipients;
  if (bob === undefined) throw new Error('nobody');
  const parameters = [{ keyword: 'NOTIFY', value }];
  await desk.desk.hold([{ ...mail, recipients: [{ ...bob, recipient: { ...bob.recipient, parameters } }] }]);
  later(15);
  await look(mail.id);
  expect(await queued()).toEqual([]);
  expect(await states(desk, mail.id)).toEqual([`${BOB} expired`]);
});

test('a mail without a reverse path expires in silence', async () => {
  const mail = mailToHold();
  await desk.desk.hold([{ ...mail, envelope: { reversePath: null, mailParameters: [] } }]);
  later(15);
  await look(mail.id);
  expect(await queued()).toEqual([]);
  expect(desk.events.some(({ event }) => event === 'held.settled')).toBe(true);
});

test('what nobody can find out keeps waiting, and is said once', async () => {
  const mail = mailToHold();
  await desk.desk.hold([mail]);
  desk.known.set(BOB, 'away');
  for (let i = 0; i < 3; i++) await look(mail.id);
  expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`]);
  expect((await desk.mails.find(mail.id))?.recipients[0]?.because).toContain('could not be found out');
  expect(desk.events.filter(({ event }) => event === 'held.not-now')).toHaveLength(1);
});

/** A desk whose spool cannot be read, for this reason. */
function unreadable(code: string): Promise<Desk> {
  const failure = new SealgateError({ code, duration: 'temporary', publicText: 'Not now.' });
  return startDesk({
    queue: desk,
    around: ({ store, spool }) => ({
      store,
      spool: {
        read: () => Promise.reject(failure),
        write: (octets) => spool.write(octets),
        remove: (name) => spool.remove(name),
      },
    }),
  });
}

test('while the gateway’s own key is away mail waits, for that reason; it is said once, and the mail leaves with the key', async () => {
  const mail = mailToHold();
  await desk.desk.hold([mail]);
  const locked = await unreadable('key.unavailable');
  for (const one of [desk, locked]) one.known.set(BOB, 'certificate');
  const [part] = await desk.held.parts([isOfMail(mail.id)]);
  if (part === undefined) throw new Error('nothing');
  for (let i = 0; i < 3; i++) await locked.releases.look(part);
  expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`]);
  expect((await desk.mails.find(mail.id))?.recipients[0]?.because).toContain('own key');
  expect(desk.events.filter(({ event }) => event === 'held.not-now')).toHaveLength(1);
  await look(mail.id);
  expect(await queued()).toEqual([`released ${BOB}`]);
});

test('a file that the disk does not give back keeps nobody from hearing that the time is over', async () => {
  const mail = mailToHold();
  await desk.desk.hold([mail]);
  const broken = await unreadable('queue.spool');
  broken.known.set(BOB, 'certificate');
  const [part] = await desk.held.parts([isOfMail(mail.id)]);
  if (part === undefined) throw new Error('nothing');
  await expect(broken.releases.look(part)).rejects.toMatchObject({ code: 'queue.spool' });
  expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`]);
  later(15);
  await broken.releases.look(part);
  expect(await states(desk, mail.id)).toEqual([`${BOB} expired`]);
  expect(await queued()).toEqual(['report alice@example.org']);
  expect(desk.events.some(({ event }) => event === 'held.not-now')).toBe(true);
});

test('what is damaged on the disk is reported, and never sent', async () => {
  const mail = mailToHold({ to: [BOB, CAROL] });
  await desk.desk.hold([mail]);
  const [name = ''] = await files();
  await writeFile(join(desk.state, 'queue', name), 'something else');
  desk.known.set(CAROL, 'certificate');
  await look(mail.id);
  expect(await queued()).toEqual(['report alice@example.org']);
  const [report] = await desk.queued();
  expect(report?.text).toContain('damaged');
  for (const one of [BOB, CAROL]) expect(report?.text).toContain(`Final-Recipient: rfc822; ${one}`);
});

test('the file of one mail in the place of another is damage', async () => {
  const [first, second] = [mailToHold(), mailToHold({ to: [CAROL] })];
  await desk.desk.hold([first]);
  const [one = ''] = await files();
  await desk.desk.hold([second]);
  const two = (await files()).find((name) => name !== one) ?? '';
  const { rename } = await import('node:fs/promises');
  await rename(join(desk.state, 'queue', two), join(desk.state, 'queue', one));
  desk.known.set(BOB, 'certificate');
  await look(first.id);
  expect(desk.protectedFor).toEqual([]);
  expect(await queued()).toEqual(['report alice@example.org']);
});

test('a file that is gone because others have settled the mail is no damage', async () => {
  const mail = mailToHold();
  await desk.desk.hold([mail]);
  const [part] = await desk.held.parts([isOfMail(mail.id)]);
  if (part === undefined) throw new Error('nothing');
  await desk.mails.choose(mail.id, 'discard', { recipients: null, by: 'alice@example.org' });
  desk.known.set(BOB, 'certificate');
  // With what was known before.
  await desk.releases.tryNow(part, part.recipients, 'the gateway');
  expect(await queued()).toEqual([]);
  expect(await states(desk, mail.id)).toEqual([`${BOB} discarded`]);
});

test('what a crash left of a settled mail goes at the start, and what waits stays', async () => {
  const [settled, waiting] = [mailToHold(), mailToHold()];
  await desk.desk.hold([settled]);
  const [name = ''] = await files();
  await desk.desk.hold([waiting]);
  await desk.mails.choose(settled.id, 'discard', { recipients: null, by: 'alice@example.org' });
  await writeFile(join(desk.state, 'queue', name), 'left behind');
  await desk.held.sweep();
  const left = await files();
  expect(left).toHaveLength(1);
  expect(left).not.toContain(name);
  await rm(join(desk.state, 'queue'), { recursive: true });
});
