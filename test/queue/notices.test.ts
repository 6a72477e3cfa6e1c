import { describe, expect, it } from 'vitest';
import { newMailId } from '../../src/ids.ts';
import type { DecidedMail, DecidedRecipient } from '../../src/pipeline/notices.ts';
import { noticesOf, OwnNotices } from '../../src/queue/notices.ts';
import type { OwnMail } from '../../src/queue/own-mail.ts';
import type { MailToDeliver } from '../../src/queue/ports.ts';
import { away, FakeLog } from '../pipeline/support/ports.ts';

const SECURITY = 'security@example.org';
const LEGAL = 'legal@example.org';

function to(address: string, rule: string, notify: readonly string[], became: DecidedRecipient['became']) {
  return { address, rule, notify, became };
}

function decided(recipients: readonly DecidedRecipient[]): DecidedMail {
  return {
    ...{ id: newMailId(), from: 'alice@example.org', login: 'alice', recipients },
    ...{
      at: new Date('2026-03-01T12:00:00Z'),
      reply: { code: 554, lines: ['5.7.1 no spam about the boathouse'] },
    },
  };
}

const SENT = { kind: 'sent', signed: true, encrypted: true } as const;

describe('a notice', () => {
  it('says who, to whom, when, by which rule, and what became of it', () => {
    const mail = decided([
      to('bob@x.test', 'partners', [SECURITY], SENT),
      to('carol@x.test', 'partners', [SECURITY], { kind: 'waits' }),
      to('dave@x.test', 'partners', [SECURITY], { kind: 'not-sent' }),
    ]);
    expect(noticesOf(mail, 'gw.example.org')).toEqual([
      {
        ...{ id: mail.id, purpose: 'notice', to: [SECURITY] },
        subject: 'Mail from alice@example.org: rule partners',
        lines: [
          'The rule partners of the mail gateway gw.example.org asked for this notice.',
          '',
          'From: alice@example.org',
          'Login: alice',
          'When: 2026-03-01T12:00:00.000Z',
          '',
          'To bob@x.test: sent, signed and encrypted',
          'To carol@x.test: waits until it can be encrypted',
          'To dave@x.test: not sent',
          '',
          'The mail program was told: 554 5.7.1',
          '',
          `Mail id: ${mail.id}`,
        ],
      },
    ]);
  });

  it('is one for all who are to hear the same, and tells nobody of another rule', () => {
    const notices = noticesOf(
      decided([
        to('bob@x.test', 'partners', [SECURITY, LEGAL], SENT),
        to('carol@x.test', 'lawyers', [LEGAL], { kind: 'sent-as-it-came' }),
        to('dave@x.test', 'lawyers', [LEGAL], { kind: 'sent', signed: true, encrypted: false }),
      ]),
      'gw.example.org',
    );
    expect(
      notices.map((notice) => [notice.to, notice.lines.filter((line) => line.startsWith('To '))]),
    ).toEqual([
      [[SECURITY], ['To bob@x.test: sent, signed and encrypted']],
      [
        [LEGAL],
        [
          'To bob@x.test: sent, signed and encrypted',
          'To carol@x.test: sent as the mail program had made it',
          'To dave@x.test: sent, signed, readable on the way',
        ],
      ],
    ]);
    const alike = noticesOf(
      decided([to('bob@x.test', 'partners', [SECURITY, LEGAL], SENT)]),
      'gw.example.org',
    );
    expect(alike.map((notice) => notice.to)).toEqual([[SECURITY, LEGAL]]);
  });

  it('has an end', () => {
    const many = Array.from({ length: 1_000 }, (_, i) => to(`r${i}@x.test`, 'all', [SECURITY], SENT));
    const [notice] = noticesOf(decided(many), 'gw.example.org');
    expect(notice?.lines.filter((line) => line.startsWith('To '))).toHaveLength(200);
    expect(notice?.lines).toContain('and 800 more');
  });

  it('that cannot be kept is told of', async () => {
    const log = new FakeLog();
    const composed: OwnMail[] = [];
    const notices = new OwnNotices({
      queue: { enqueue: () => Promise.reject(away('queue.spool')) },
      ownMails: {
        async compose(mail) {
          composed.push(mail);
          return {} as MailToDeliver;
        },
      },
      ...{ hostname: 'gw.example.org', log },
    });
    await notices.tell(decided([to('bob@x.test', 'partners', [SECURITY], SENT)]));
    expect(composed).toHaveLength(1);
    expect(log.named('queue.notice-lost')).toHaveLength(1);
  });
});
