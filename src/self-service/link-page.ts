import type { HttpAnswer } from '../http/message.ts';
import { html } from './html.ts';
import { page } from './page.ts';

/** Where a link to one's own mail is asked for. @param complaint about what was sent */
export function linkPage(hostname: string, complaint: string | null): HttpAnswer {
  const title = 'Mail of yours that is waiting';
  const content = html`<h1>${title}</h1>
<p class="lead">Mail that cannot be encrypted yet waits here until it can be. You are sent a link to what waits of yours.</p>
${complaint === null ? null : html`<p class="bad" role="alert" id="complaint">${complaint}</p>`}
<section class="card">
<form method="post">
<label class="above" for="address">Your mail address</label>
<input type="text" inputmode="email" id="address" name="address" required maxlength="320" autocomplete="email" autocapitalize="none" spellcheck="false"${complaint === null ? null : html` aria-describedby="complaint"`}>
<button class="first">Send me the link</button>
</form></section>`;
  return page(hostname, complaint === null ? 200 : 400, title, content);
}

/** The same for everybody, whatever waits of whom. */
export function linkAskedPage(hostname: string): HttpAnswer {
  const title = 'Look into your mailbox';
  const content = html`<h1>${title}</h1>
<p>If mail of that address is waiting, a link to it is on its way there. If none comes, nothing waits, or a link was sent a short while ago.</p>
<p>The link is good for a few days. Whoever has it can decide about your mail: pass it on to nobody.</p>`;
  return page(hostname, 200, title, content);
}

export function tooManyPage(hostname: string, seconds: number): HttpAnswer {
  const title = 'Too many requests';
  const minutes = Math.ceil(seconds / 60);
  const content = html`<h1>${title}</h1>
<p>From your network links were asked for too often. Try again in ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}.</p>`;
  const answer = page(hostname, 429, title, content);
  return { ...answer, headers: { ...answer.headers, 'retry-after': String(seconds) } };
}

/** For links that open nothing, all alike: forged ones, old ones, those to mail that has gone. */
export function noSuchLinkPage(hostname: string): HttpAnswer {
  const title = 'This link leads nowhere any more';
  const content = html`<h1>${title}</h1>
<p>Its time is over, the mail does not wait any more, or the address was not copied as a whole.</p>
<p><a href="../held">Ask for a new link</a></p>`;
  return page(hostname, 404, title, content);
}

export function awayPage(hostname: string, sentence: string): HttpAnswer {
  const title = 'Not available for now';
  const content = html`<h1>${title}</h1>
<p class="bad" role="alert">${sentence}</p>
<p>Nothing was changed. Load the page again in a while.</p>`;
  return page(hostname, 503, title, content);
}
