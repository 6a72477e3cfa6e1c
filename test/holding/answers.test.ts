import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AnswerAddresses } from '../../src/holding/answer-address.ts';
import { HeldLinks } from '../../src/holding/held-links.ts';
import { isOfMail } from '../../src/holding/held-rows.ts';
import { newMailId, newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import type { Origin, Submission } from '../../src/pipeline/ports.ts';
import type { Mailbox } from '../../src/smtp/envelope.ts';
import { GATEWAY } from '../queue/support/own-identity.ts';
import { DAY_MS, mailbox } from '../queue/support/queue.ts';
import { principalNamed } from '../support/principal.ts';
import { type Desk, mailToHold, SECRET, startDesk, states } from './support/desk.ts';

let desk: Desk;
beforeEach(async () => {
  desk = await startDesk();
});
afterEach(() => desk.stop());

const BOB = 'bob@partner.example';

const origin = (login: string): Origin => ({
  ...{
    session: newSessionId(),
    listener: 'submission',
    principal: principalNamed(login),
    remote: '192.0.2.1',
  },
});

const withField = async (field: string, octets: OctetSource): Promise<OctetSource> =>
  bufferSource(Buffer.concat([Buffer.from(`${field}\r\n`), await collectFrom(octets)]));

const answerOf = (text: string, to: Mailbox, login = 'alice'): Submission => ({
  ...{ id: newMailId(), origin: origin(login) },
  envelope: {
    ...{ reversePath: mailbox('alice@example.org'), mailParameters: [] },
    recipients: [{ mailbox: to, parameters: [] }],
  },
  octets: bufferSource(
    Buffer.from(
      `From: alice@example.org\r\nMessage-ID: <a1@example.org>\r\nSubject: Re: question\r\n\r\n${text}\r\n`,
    ),
  ),
});

async function asked(part: Parameters<typeof mailToHold>[0] = {}) {
  const mail = mailToHold({ ask: true, ...part });
  await desk.desk.hold([mail]);
  const held = await desk.mails.find(mail.id);
  if (held === null) throw new Error('nothing is held');
  return { mail, address: mailbox(desk.addresses.of(mail.id, held.expiresAt)) };
}

const purposes = async () => (await desk.queued()).map(({ purpose }) => purpose).sort();

describe('an answer of the login that sent the mail', () => {
  test('“send” sends what was signed before, once, and is confirmed', async () => {
    const { mail, address } = await asked();
    expect(await desk.answers.judge(origin('alice'), address)).toMatchObject({ code: 250 });
    const answer = answerOf('Send, please.\r\n\r\n> send wait discard', address);
    expect(await desk.answers.take(answer)).toMatchObject({ code: 250 });
    const all = await desk.queued();
    expect(all.map(({ purpose }) => purpose).sort()).toEqual(['notice', 'question', 'released']);
    expect(all.find(({ purpose }) => purpose === 'released')?.text).toContain('X-Readable: yes');
    const notice = all.find(({ purpose }) => purpose === 'notice');
    expect(notice?.text).toContain('In-Reply-To: <a1@example.org>');
    expect(notice?.recipients[0]?.recipient.mailbox).toEqual(mailbox('alice@example.org'));
    // The same answer once more.
    expect(await desk.answers.take(answer)).toMatchObject({
      code: 554,
      lines: [expect.stringContaining('any more')],
    });
    expect(await purposes()).toEqual(['notice', 'question', 'released']);
    expect(await states(desk, mail.id)).toEqual([`${BOB} leaving`]);
  });

  test('“discard” deletes it, and “wait” changes nothing', async () => {
    const { mail, address } = await asked();
    expect(await desk.answers.take(answerOf('wait', address))).toMatchObject({ code: 250 });
    expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`]);
    expect(await desk.answers.take(answerOf('DISCARD.', address))).toMatchObject({ code: 250 });
    expect(await states(desk, mail.id)).toEqual([`${BOB} discarded`]);
    expect(await purposes()).toEqual(['notice', 'notice', 'question']);
  });

  test('the address is good however servers have changed its case', async () => {
    const { address } = await asked();
    const shouted = { localPart: address.localPart.toUpperCase(), domain: address.domain.toUpperCase() };
    // RFC 5321 §4.1.2: the same mailbox.
    const inQuotes = { ...address, localPart: `"${address.localPart}"` };
    for (const spelling of [shouted, inQuotes]) {
      expect(desk.answers.isOwn(spelling)).toBe(true);
      expect(await desk.answers.take(answerOf('wait', spelling))).toMatchObject({ code: 250 });
    }
  });

  test('“send” sends to those to whom it may, and the rest keeps waiting', async () => {
    const mail = mailToHold({ ask: true });
    const strict = mailToHold({
      to: ['dan@else.example'],
      ask: true,
      readable: null,
      terms: { rule: 'strict' },
    });
    await desk.desk.hold([mail, { ...strict, id: mail.id }]);
    const held = await desk.mails.find(mail.id);
    const address = mailbox(desk.addresses.of(mail.id, held?.expiresAt ?? new Date(0)));
    expect(await desk.answers.take(answerOf('send', address))).toMatchObject({ code: 250 });
    expect((await states(desk, mail.id)).sort()).toEqual([`${BOB} leaving`, 'dan@else.example waiting']);
    expect(await desk.answers.take(answerOf('send', address))).toMatchObject({
      ...{ code: 554, lines: [expect.stringContaining('may not be sent unless it is encrypted')] },
    });
  });

  test('who has left in the moment of the answer keeps it from nobody else', async () => {
    const { mail, address } = await asked({ to: [BOB, 'carol@partner.example'] });
    desk.known.set(BOB, 'certificate');
    const [part] = await desk.held.parts([isOfMail(mail.id)]);
    if (part === undefined) throw new Error('nothing');
    const [, answer] = await Promise.all([
      desk.releases.look(part),
      desk.answers.take(answerOf('send', address)),
    ]);
    expect(answer).toMatchObject({ code: 250 });
    expect(await states(desk, mail.id)).toEqual([`${BOB} leaving`, 'carol@partner.example leaving']);
    expect(desk.protectedFor).toEqual([BOB]);
  });

  test('what is no answer changes nothing and says what is missing', async () => {
    const { mail, address } = await asked();
    for (const text of ['yes', 'resend it', 'Sent from my telephone', '> send', '', 'send-it', 'discards']) {
      expect(await desk.answers.take(answerOf(text, address)), text).toMatchObject({ code: 554 });
    }
    const vacation = answerOf('send', address);
    const octets = await withField('Auto-Submitted: auto-replied', vacation.octets);
    expect(await desk.answers.take({ ...vacation, octets })).toMatchObject({ code: 554 });
    expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`]);
    expect(await purposes()).toEqual(['question']);
  });

  test.each([
    ['an empty return path', { reversePath: null }, ''],
    ['a report', {}, 'Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n'],
    ['Auto-Submitted in any spelling', {}, 'Auto-Submitted: no-reply-was-typed\r\n'],
    ['Precedence', {}, 'Precedence: Auto_Reply\r\n'],
  ])('what a program has written is no answer (RFC 3834): %s', async (_, envelope, header) => {
    const { mail, address } = await asked();
    const answer = answerOf('', address);
    const text = header.includes('multipart')
      ? `--b\r\nContent-Type: text/plain\r\n\r\nsend\r\n--b--\r\n`
      : 'send\r\n';
    const refused = await desk.answers.take({
      ...answer,
      envelope: { ...answer.envelope, ...envelope },
      octets: bufferSource(Buffer.from(`${header}From: alice@example.org\r\n\r\n${text}`)),
    });
    expect(refused).toMatchObject({ code: 554, lines: [expect.stringContaining('a program')] });
    expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`]);
  });

  test('a person’s answer may say that a person has written it', async () => {
    const { mail, address } = await asked();
    const answer = answerOf('discard', address);
    const octets = await withField('Auto-Submitted: No (typed)', answer.octets);
    expect(await desk.answers.take({ ...answer, octets })).toMatchObject({ code: 250 });
    expect(await states(desk, mail.id)).toEqual([`${BOB} discarded`]);
  });

  test('a mail that has left or expired is answered with that', async () => {
    const { mail, address } = await asked();
    desk.time.now = new Date(desk.time.now.getTime() + 15 * DAY_MS);
    for (const part of await desk.held.parts([isOfMail(mail.id)])) await desk.releases.look(part);
    expect(await desk.answers.judge(origin('alice'), address)).toMatchObject({ code: 250 });
    expect(await desk.answers.take(answerOf('send', address))).toMatchObject({ code: 554 });
    expect(await purposes()).toEqual(['question', 'report']);
  });
});

describe('an answer of anybody else', () => {
  test.each([
    ['another login', 'mallory', ['mallory@example.org']],
    ['another login to which the same address belongs', 'secretary', ['alice@example.org']],
    ['the login, which has lost the address meanwhile', 'alice', ['alice.smith@example.org']],
  ])('is refused: %s', async (_, login, addresses) => {
    desk.belongings.set(login, addresses);
    const { mail, address } = await asked();
    const { code, lines } = await desk.answers.judge(origin(login), address);
    expect(code).toBe(550);
    expect(await desk.answers.take(answerOf('send', address, login))).toEqual({ code, lines });
    // Whether there is such a mail is not said.
    expect(await desk.answers.judge(origin(login), mailbox(GATEWAY))).toEqual({ code, lines });
    expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`]);
  });

  test('tokens that are forged, of another mail, or of another installation, open nothing', async () => {
    const one = await asked();
    const other = await asked();
    const [id = '', code = ''] = one.address.localPart.replace(/^gateway\+/, '').split('.');
    const [otherId = ''] = other.address.localPart.replace(/^gateway\+/, '').split('.');
    const { expiresAt } = (await desk.mails.find(one.mail.id)) ?? { expiresAt: new Date(0) };
    const foreign = new AnswerAddresses(Buffer.alloc(32, 1), GATEWAY).of(one.mail.id, expiresAt);
    const link = new HeldLinks(SECRET, () => desk.time.now).toMail({ id: one.mail.id, expiresAt });
    for (const suffix of [
      ...['', '+', `+${id}`, `+${id}.`, `+${otherId}.${code}`, `+${id}.${code}0`, `+${id}.${code.slice(1)}`],
      ...[
        `+${id}.${code}.${code}`,
        `+${id}.${'0'.repeat(20)}`,
        `+${link}`,
        '+x.y',
        `+${newMailId()}.${code}`,
      ],
    ]) {
      const address = { localPart: `gateway${suffix}`, domain: 'example.org' };
      expect(desk.answers.isOwn(address), suffix).toBe(true);
      expect(await desk.answers.take(answerOf('send', address)), suffix).toMatchObject({ code: 550 });
    }
    expect(await desk.answers.take(answerOf('send', mailbox(foreign)))).toMatchObject({ code: 550 });
    for (const { mail } of [one, other]) expect(await states(desk, mail.id)).toEqual([`${BOB} waiting`]);
  });

  test('addresses of others are not the gateway’s', () => {
    for (const address of [
      'gateway2@example.org',
      'gateway@example.com',
      'gateway.x@example.org',
      'x+gateway@example.org',
    ]) {
      expect(desk.answers.isOwn(mailbox(address)), address).toBe(false);
    }
    for (const address of [
      GATEWAY,
      'Gateway@EXAMPLE.org',
      'gateway+anything@example.org',
      '"gateway"@example.org',
      '"gate\\way+x"@example.org',
    ]) {
      expect(desk.answers.isOwn(mailbox(address)), address).toBe(true);
    }
  });
});

test('while the database is away the answer is put off', async () => {
  const { address } = await asked();
  await desk.store.close();
  expect(await desk.answers.judge(origin('alice'), address)).toMatchObject({ code: 451 });
  expect(await desk.answers.take(answerOf('send', address))).toMatchObject({ code: 451 });
});
