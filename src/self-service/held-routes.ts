import { SealgateError } from '../errors.ts';
import { addressOf } from '../holding/address.ts';
import type { HeldMails } from '../holding/held-mail.ts';
import { type HttpAnswer, type HttpRequest, onlyValue, type Route } from '../http/message.ts';
import { Rates } from '../http/rates.ts';
import { limits } from '../limits.ts';
import { choose } from './choose.ts';
import { heldPage } from './held-page.ts';
import { awayPage, linkAskedPage, linkPage, noSuchLinkPage, tooManyPage } from './link-page.ts';
import type { LinkRequests } from './link-requests.ts';
import { listPage } from './list-page.ts';
import type { HeldLinks } from './ports.ts';

export type HeldPagesParts = {
  mails: HeldMails;
  links: HeldLinks;
  requests: LinkRequests;
  /** Of the gateway, at the foot of each page. */
  hostname: string;
  /** Milliseconds that never run backwards. */
  now(): number;
};

/**
 * The pages about mail that waits. A link is all the right that there is: no login, no cookie, so nothing that another site could make a
 * browser do. GET shows and changes nothing, whoever follows a link (scanners do); POST does what the page offers.
 */
export function heldRoutes(parts: HeldPagesParts): Route[] {
  const { hostname, mails, links } = parts;
  const { requests: most, requestsMs: spanMs, remembered } = limits.selfService;
  const clients = new Rates({ most, spanMs, remembered }, parts.now);

  const opened = async (token: string): Promise<HttpAnswer> => {
    const link = links.read(token);
    if (link === null) return noSuchLinkPage(hostname);
    if (link.kind === 'mail') {
      const mail = await mails.find(link.id);
      return mail === null ? noSuchLinkPage(hostname) : heldPage(hostname, mail, null);
    }
    const { exact } = addressOf(link.address);
    const found = await mails.list({ from: link.address, limit: limits.selfService.listedMails });
    // RFC 5321 §2.4: who differs in letter case alone may be somebody else, and this mailbox is not hers.
    const listed = found.filter(({ from }) => addressOf(from).exact === exact);
    return listPage(
      hostname,
      link.address,
      listed.map((mail) => ({ mail, token: links.toMail(mail) })),
    );
  };

  const chosen = async (token: string, { form }: HttpRequest): Promise<HttpAnswer> => {
    const link = links.read(token);
    if (link?.kind !== 'mail') return noSuchLinkPage(hostname);
    const mail = await mails.find(link.id);
    const outcome = mail === null ? null : await choose(mails, mail, form);
    return outcome === null ? noSuchLinkPage(hostname) : heldPage(hostname, outcome.mail, outcome.said);
  };

  const asked = async ({ form, network }: HttpRequest): Promise<HttpAnswer> => {
    const address = onlyValue(form, 'address')?.trim() ?? '';
    if (!/^[^\p{Cc}\s@]+@[^\p{Cc}\s@]+$/u.test(address) || address.length > 320) {
      return linkPage(hostname, 'This is no mail address. Write it in full, like alice@example.org.');
    }
    const waitMs = network === null ? 0 : clients.count(network);
    if (waitMs > 0) return tooManyPage(hostname, Math.ceil(waitMs / 1_000));
    parts.requests.ask(address);
    return linkAskedPage(hostname);
  };

  const careful =
    (answer: (request: HttpRequest) => Promise<HttpAnswer>) =>
    async (request: HttpRequest): Promise<HttpAnswer> => {
      try {
        return await answer(request);
      } catch (error) {
        if (error instanceof SealgateError) return awayPage(hostname, error.publicText);
        throw error;
      }
    };

  return [
    { path: '/held', get: careful(async () => linkPage(hostname, null)), post: careful(asked) },
    {
      path: '/held/:token',
      get: careful(({ segments: { token = '' } }) => opened(token)),
      post: careful((request) => chosen(request.segments.token ?? '', request)),
    },
  ];
}
