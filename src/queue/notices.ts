import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Became, DecidedMail, DecidedRecipient, Notices } from '../pipeline/notices.ts';
import type { Reply } from '../smtp/reply.ts';
import type { OwnMail, OwnMails } from './own-mail.ts';
import type { Queue } from './ports.ts';

export type OwnNoticesParts = {
  queue: Pick<Queue, 'enqueue'>;
  ownMails: Pick<OwnMails, 'compose'>;
  /** Of this gateway. */
  hostname: string;
  log: Log;
};

/** Tells by mail who is to hear of what rules decide. */
export class OwnNotices implements Notices {
  readonly #parts: OwnNoticesParts;

  constructor(parts: OwnNoticesParts) {
    this.#parts = parts;
  }

  async tell(decided: DecidedMail): Promise<void> {
    const { queue, ownMails, hostname, log } = this.#parts;
    try {
      const mails = noticesOf(decided, hostname);
      await queue.enqueue(await Promise.all(mails.map((mail) => ownMails.compose(mail))));
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      const { id: mail } = decided;
      log.write({ event: 'queue.notice-lost', level: 'error', mail, reason: error.message });
    }
  }
}

/** Named in one notice; whoever wants more has the log. */
const NAMED = 200;

/**
 * One notice for all who are to hear the same. Whoever is told of one rule hears nothing of the recipients of another.
 *
 * Must never happen: a word of the mail's Subject or text.
 */
export function noticesOf(decided: DecidedMail, hostname: string): OwnMail[] {
  const { id, from, recipients } = decided;
  const told = new Map<string, string[]>();
  for (const address of new Set(recipients.flatMap(({ notify }) => notify))) {
    const key = JSON.stringify(rulesFor(recipients, address));
    told.set(key, [...(told.get(key) ?? []), address]);
  }
  return [...told.values()].map((to): OwnMail => {
    const [first = ''] = to;
    const rules = rulesFor(recipients, first);
    const named = rules.length === 1 ? `The rule ${rules[0]}` : `The rules ${rules.join(', ')}`;
    return {
      ...{ id, purpose: 'notice', to },
      subject: `Mail from ${from}: ${rules.length === 1 ? 'rule' : 'rules'} ${rules.join(', ')}`,
      lines: [
        `${named} of the mail gateway ${hostname} asked for this notice.`,
        '',
        `From: ${from}`,
        `Login: ${decided.login}`,
        `When: ${decided.at.toISOString()}`,
        ...rules.flatMap((rule) => [
          '',
          ...(rules.length === 1 ? [] : [`Rule ${rule}:`]),
          ...toldOf(recipients.filter((one) => one.rule === rule)),
        ]),
        '',
        `The mail program was told: ${codesOf(decided.reply)}`,
        '',
        `Mail id: ${id}`,
      ],
    };
  });
}

function rulesFor(recipients: readonly DecidedRecipient[], address: string): readonly string[] {
  const concerned = recipients.filter(({ notify }) => notify.includes(address));
  return [...new Set(concerned.map(({ rule }) => rule))];
}

function toldOf(recipients: readonly DecidedRecipient[]): string[] {
  const more = recipients.length - NAMED;
  return [
    ...recipients.slice(0, NAMED).map(({ address, became }) => `To ${address}: ${inWords(became)}`),
    ...(more > 0 ? [`and ${more} more`] : []),
  ];
}

function inWords(became: Became): string {
  switch (became.kind) {
    case 'sent': {
      const { signed, encrypted } = became;
      if (signed && encrypted) return 'sent, signed and encrypted';
      if (encrypted) return 'sent, encrypted';
      return signed ? 'sent, signed, readable on the way' : 'sent, readable on the way';
    }
    case 'sent-as-it-came':
      return 'sent as the mail program had made it';
    case 'waits':
      return 'waits until it can be encrypted';
    case 'not-sent':
      return 'not sent';
  }
}

/** A server's words may cite the mail; its codes (RFC 3463) cannot. */
function codesOf({ code, lines: [first = ''] }: Reply): string {
  const [enhanced] = /^[245]\.\d{1,3}\.\d{1,3}(?= |$)/.exec(first) ?? [];
  return enhanced === undefined ? `${code}` : `${code} ${enhanced}`;
}
