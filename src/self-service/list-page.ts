import type { HeldMail } from '../holding/held-mail.ts';
import type { HttpAnswer } from '../http/message.ts';
import { limits } from '../limits.ts';
import { address } from './held-page.ts';
import { type Html, html } from './html.ts';
import { foreign, moment, page } from './page.ts';

export type ListedMail = {
  mail: HeldMail;
  /** The last segment of its own page's address. */
  token: string;
};

/** What waits of one From address. */
export function listPage(hostname: string, from: string, mails: readonly ListedMail[]): HttpAnswer {
  const title = mails.length === 0 ? 'No mail of yours is waiting' : 'Your mail that is waiting';
  const content = html`<h1>${title}</h1>
<p class="lead">Of ${address(from)}. What waits leaves by itself, encrypted, as soon as that is possible.</p>
${mails.length === 0 ? null : html`<section class="card" aria-label="Mail that is waiting"><ul>${mails.map(line)}</ul></section>`}
${mails.length < limits.selfService.listedMails ? null : html`<p>These are the newest; there may be older ones.</p>`}`;
  return page(hostname, 200, title, content);
}

/** The link is relative, so that the pages may lie anywhere below a reverse proxy. */
function line({ mail, token }: ListedMail): Html {
  const waiting = mail.recipients.filter(({ state }) => state === 'waiting').map(({ address: to }) => to);
  const [first = '', second] = waiting;
  const others = waiting.length - 1;
  return html`<li><a href="${token}">${mail.subject === null ? 'A mail' : foreign(mail.subject)}</a>
<p>to ${address(first)}${second === undefined ? null : html` and ${others} ${others === 1 ? 'other' : 'others'}`},
written ${moment(mail.heldAt)}, waits until ${moment(mail.expiresAt)}</p></li>`;
}
