import type { Choice, ChoiceOutcome, HeldMail, HeldMails } from '../../src/holding/held-mail.ts';
import type { MailId } from '../../src/ids.ts';
import type { HeldLinks } from '../../src/self-service/ports.ts';

export function heldMail(part: Partial<HeldMail> = {}): HeldMail {
  return {
    id: 'mail1' as MailId,
    from: 'alice@example.org',
    login: 'alice',
    subject: 'Offer for the bridge',
    heldAt: new Date('2026-11-20T08:15:00Z'),
    expiresAt: new Date('2026-11-27T08:15:00Z'),
    rule: 'partners',
    recipients: [{ address: 'bob@partner.example', state: 'waiting', because: 'no certificate is known' }],
    choices: ['wait', 'send-signed', 'discard'],
    ...part,
  };
}

export type Chosen = { id: string; choice: Choice; recipients: readonly string[] | null; by: string };

/** Mail that waits, in memory. */
export function memoryHeldMails(
  mails: HeldMail[],
): HeldMails & { chosen: Chosen[]; answer: ChoiceOutcome | null } {
  return {
    chosen: [],
    answer: null,
    async list({ from, limit }) {
      return mails.filter((mail) => mail.from.toLowerCase() === from?.toLowerCase()).slice(0, limit);
    },
    async find(id) {
      return mails.find((mail) => mail.id === id) ?? null;
    },
    async choose(id, choice, { recipients, by }) {
      this.chosen.push({ id, choice, recipients, by });
      const mail = mails.find((each) => each.id === id);
      return this.answer ?? (mail === undefined ? { kind: 'unknown' } : { kind: 'done', mail });
    },
  };
}

/** Tokens that anybody could make: not what is looked at here. */
export const plainLinks: HeldLinks = {
  read(token) {
    const [, kind, value = ''] = /^(mail|list)-(.+)$/.exec(token) ?? [];
    if (kind === undefined) return null;
    return kind === 'mail' ? { kind, id: value as MailId } : { kind: 'list', address: value };
  },
  toMail: ({ id }) => `mail-${id}`,
  toList: (address) => `list-${address}`,
};
