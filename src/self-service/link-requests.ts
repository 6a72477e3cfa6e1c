import { SealgateError } from '../errors.ts';
import { addressOf } from '../holding/address.ts';
import type { HeldMail, HeldMails } from '../holding/held-mail.ts';
import { Rates } from '../http/rates.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { HeldLinks, SendNote } from './ports.ts';

export type LinkRequestsParts = {
  mails: HeldMails;
  links: HeldLinks;
  send: SendNote;
  /** Where the pages are for those who get a link: `https://gateway.example.org`, without a slash at its end. */
  url: string;
  log: Log;
  /** Milliseconds that never run backwards. */
  now(): number;
};

/**
 * Links to their own mail for those who have lost theirs, sent to the address whose mail it is.
 *
 * Holds: who asks learns nothing, neither by what is answered nor by how long it takes; who asks again and again fills nobody's mailbox:
 * the links that were sent are good for longer than no further one is.
 */
export class LinkRequests {
  readonly #parts: LinkRequestsParts;
  readonly #ofAddress: Rates;
  readonly #all: Rates;
  readonly #sending = new Set<Promise<void>>();

  constructor(parts: LinkRequestsParts) {
    const { links, linksMs, allLinks, allLinksMs, remembered } = limits.selfService;
    this.#parts = parts;
    this.#ofAddress = new Rates({ most: links, spanMs: linksMs, remembered }, parts.now);
    this.#all = new Rates({ most: allLinks, spanMs: allLinksMs, remembered: 1 }, parts.now);
  }

  /** Returns at once, whatever waits of the address; what is to be done is done afterwards. */
  ask(address: string): void {
    // With more, nobody would look whether anything waits.
    if (this.#sending.size >= limits.selfService.sending) return;
    const sending = this.#answer(address).finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  /** What was begun is finished. */
  async close(): Promise<void> {
    await Promise.all(this.#sending);
  }

  /** Never rejects. */
  async #answer(address: string): Promise<void> {
    const { mails, log } = this.#parts;
    try {
      const listed = await mails.list({ from: address, limit: limits.selfService.listedMails });
      // What differs in letter case alone may be several people's: each gets a link to her own mail.
      const bySender = Map.groupBy(listed, ({ from }) => addressOf(from).exact);
      for (const own of bySender.values()) await this.#sendTo(own);
    } catch (error) {
      const reason = error instanceof SealgateError ? error.message : `defect: ${String(error)}`;
      log.write({ event: 'held.link-not-sent', level: 'warn', address, reason });
    }
  }

  /** @param own the mails of one sender that wait, the newest first */
  async #sendTo(own: readonly HeldMail[]): Promise<void> {
    const { links, send, url, log } = this.#parts;
    const [newest] = own;
    if (newest === undefined) return;
    // The address as the mail has it: what somebody has typed is not written to.
    const to = newest.from;
    if (this.#ofAddress.count(to) > 0) return;
    if (this.#all.count('') > 0) {
      const reason = 'links are asked for by too many in this hour';
      log.write({ event: 'held.link-not-sent', level: 'warn', address: to, reason });
      return;
    }
    await send(linkNote(to, own.length, url, links.toList(to)));
    log.write({ event: 'held.link-sent', level: 'info', address: to, mails: own.length });
  }
}

function linkNote(to: string, count: number, url: string, token: string): Parameters<SendNote>[0] {
  const what = count === 1 ? 'One mail of yours waits' : `${count} mails of yours wait`;
  const lines = [
    `${what} until it can be encrypted. Here you see what it is, and can decide about it:`,
    '',
    `${url}/held/${token}`,
    '',
    'Whoever has this link can decide about your mail: pass it on to nobody. It is good for a few days.',
    '',
    `You get this because somebody, most likely you, has asked for it at ${url}/held.`,
    'If it was not you, nothing has to be done: nobody but you was sent the link.',
  ];
  return { to, subject: 'Your mail that is waiting', lines };
}
