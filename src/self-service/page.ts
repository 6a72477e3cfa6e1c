import type { HttpAnswer } from '../http/message.ts';
import { Html, html } from './html.ts';
import { PAGE_POLICY, STYLE } from './style.ts';

/** @param hostname whose pages they are, at the foot of each */
export function page(hostname: string, status: number, title: string, content: Html): HttpAnswer {
  const document = html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
${content}
</main>
<footer>Secure mail of <bdi>${hostname}</bdi></footer>
</body>
</html>
`;
  return {
    ...{ status, contentType: 'text/html; charset=utf-8', body: document.text },
    headers: { 'content-security-policy': PAGE_POLICY },
  };
}

/** Foreign text that stays where it is put: it neither turns its surroundings around nor breaks them. */
export function foreign(text: string): Html {
  return html`<bdi>${text}</bdi>`;
}

/** UTC, since the gateway does not know where the reader is. */
export function moment(date: Date): Html {
  const shown = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });
  return html`<time datetime="${date.toISOString()}">${shown.format(date)} UTC</time>`;
}
