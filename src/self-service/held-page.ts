import { unreachable } from '../errors.ts';
import type { Choice, HeldMail, HeldRecipient, HeldState } from '../holding/held-mail.ts';
import type { HttpAnswer } from '../http/message.ts';
import { limits } from '../limits.ts';
import { printable } from '../log/printable.ts';
import { type Html, html } from './html.ts';
import { foreign, moment, page } from './page.ts';

/** What was said to the last choice, above the page. */
export type Said = { kind: 'done' | 'refused'; sentence: string };

/** One mail that waits, or of which somebody may still have waited when the page was opened. */
export function heldPage(hostname: string, mail: HeldMail, said: Said | null): HttpAnswer {
  const waiting = mail.recipients.filter(({ state }) => state === 'waiting');
  const title = waiting.length === 0 ? 'Nothing of this mail waits any more' : 'A mail of yours is waiting';
  const content = html`<h1>${title}</h1>
${said === null ? null : html`<p class="${said.kind === 'done' ? 'note' : 'bad'}" role="status">${said.sentence}</p>`}
${waiting.length === 0 ? null : html`<p class="lead">It could not be encrypted for everybody yet. It leaves by itself, encrypted, as soon as that is possible. Meanwhile it lies here encrypted.</p>`}
<section class="card" aria-labelledby="mail"><h2 id="mail">The mail</h2>
<dl>
${mail.subject === null ? null : html`<dt>Subject</dt><dd>${foreign(mail.subject)}</dd>`}
<dt>From</dt><dd>${address(mail.from)}</dd>
<dt>Written</dt><dd>${moment(mail.heldAt)}</dd>
<dt>Waits until</dt><dd>${moment(mail.expiresAt)}</dd>
<dt>Rule</dt><dd>${foreign(mail.rule)}</dd>
</dl></section>
<section class="card" aria-labelledby="recipients"><h2 id="recipients">Recipients</h2>
<ul>${mail.recipients.slice(0, limits.selfService.shownRecipients).map(recipientLine)}</ul>
${more(mail.recipients.length - limits.selfService.shownRecipients)}</section>
${waiting.length === 0 || mail.choices.length === 0 ? null : choiceForm(mail, waiting)}`;
  const answer = said === null ? '' : said.kind === 'done' ? 'Done: ' : 'Not done: ';
  return page(hostname, said?.kind === 'refused' ? 409 : 200, answer + title, content);
}

/** An address as text: what could make it look like another one is shown as what it is. */
export function address(text: string): Html {
  return foreign(printable(text));
}

function recipientLine({ address: to, state, because }: HeldRecipient): Html {
  return html`<li>${address(to)} <span class="state">${stateText(state)}</span><p>${foreign(because)}</p></li>`;
}

function more(count: number): Html | null {
  return count <= 0 ? null : html`<p>And ${count} more.</p>`;
}

function stateText(state: HeldState): string {
  switch (state) {
    case 'waiting':
      return 'waiting';
    case 'leaving':
      return 'on its way';
    case 'discarded':
      return 'discarded';
    case 'expired':
      return 'time is over';
    default:
      return unreachable(state);
  }
}

/** The form goes to where the page came from: there is no other place that its token would open. */
function choiceForm(mail: HeldMail, waiting: readonly HeldRecipient[]): Html {
  return html`<section class="card" aria-labelledby="choose"><h2 id="choose">What shall happen?</h2>
<form method="post" autocomplete="off">
${whom(waiting)}
${CHOICES.filter((choice) => mail.choices.includes(choice)).map((choice) => offer(choice))}
</form></section>`;
}

function whom(waiting: readonly HeldRecipient[]): Html | null {
  const [only] = waiting;
  if (waiting.length === 1 && only !== undefined) return null;
  if (waiting.length > limits.selfService.chosenRecipients)
    return html`<p>Your choice is for all who wait.</p>`;
  return html`<fieldset><legend>For whom?</legend>
${waiting.map(({ address: to }) => html`<label class="line"><input type="checkbox" name="recipient" value="${to}" checked> ${address(to)}</label>`)}
<input type="hidden" name="some" value="yes"></fieldset>`;
}

/** In the order in which they are offered: what is safest first. */
const CHOICES: readonly Choice[] = ['wait', 'release', 'send-signed', 'discard'];

function offer(choice: Choice): Html {
  switch (choice) {
    case 'wait':
      return html`<div class="choice"><p id="why-wait">Nothing has to be done: the mail leaves, encrypted, when a certificate is there.</p>
<button class="first" name="choice" value="wait" aria-describedby="why-wait">Keep waiting</button></div>`;
    case 'release':
      return html`<div class="choice"><p id="why-release">Look once more whether it can be encrypted, and send it if so.</p>
<button name="choice" value="release" aria-describedby="why-release">Try again now</button></div>`;
    case 'send-signed':
      return html`<div class="choice"><p id="why-signed">Send it signed, but <strong>not encrypted</strong>: it can be read on its way. This cannot be undone.</p>
<button name="choice" value="send-signed" aria-describedby="why-signed">Send without encryption</button></div>`;
    case 'discard':
      return html`<div class="choice"><details><summary>Discard the mail …</summary>
<p id="why-discard">It is not sent, and is deleted here. This cannot be undone.</p>
<button class="danger" name="choice" value="discard" aria-describedby="why-discard">Discard</button></details></div>`;
    default:
      return unreachable(choice);
  }
}
