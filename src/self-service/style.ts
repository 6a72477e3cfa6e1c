import { createHash } from 'node:crypto';

/** The one style of all pages. It stands in each of them, so that a page is one request and nothing else is ever loaded. */
export const STYLE = `
:root { color-scheme: light dark; --text: #1c2430; --soft: #55606f; --line: #d5dbe3; --page: #f3f5f8; --card: #fff;
  --accent: #0b5bb5; --on-accent: #fff; --danger: #a3201c; --note: #e8f1fc; --bad: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --text: #e8ecf1; --soft: #a7b1be; --line: #3a4450; --page: #14181d;
  --card: #1d232a; --accent: #7db7ff; --on-accent: #08203d; --danger: #ff9d94; --note: #17304e; --bad: #4a1f1c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1.0625rem/1.55 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 44rem; margin: 0 auto; padding: 2.5rem 1rem 1rem; }
footer { max-width: 44rem; margin: 0 auto; padding: 0 1rem 2.5rem; color: var(--soft); font-size: .875rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 0 0 .75rem; }
p { margin: 0 0 1rem; }
p:last-child { margin-bottom: 0; }
a { color: var(--accent); }
.lead { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.5rem; margin: 1.25rem 0; }
.note, .bad { border-left: .3rem solid var(--accent); background: var(--note); border-radius: .4rem; padding: .9rem 1.1rem;
  margin: 1.25rem 0; }
.bad { border-color: var(--danger); background: var(--bad); }
bdi, dd, td { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
ul { list-style: none; margin: 0; padding: 0; }
li { padding: .8rem 0; border-top: 1px solid var(--line); }
li:first-child { border-top: 0; padding-top: 0; }
li:last-child { padding-bottom: 0; }
li p { margin: .1rem 0 0; color: var(--soft); }
.state { font-size: .875rem; border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .7rem; margin-left: .4rem;
  white-space: nowrap; color: var(--soft); }
fieldset { border: 0; margin: 0 0 1.5rem; padding: 0; }
legend { font-weight: 600; padding: 0; margin-bottom: .4rem; }
label.line { display: flex; gap: .65rem; align-items: baseline; padding: .3rem 0; }
input[type=checkbox] { width: 1.15rem; height: 1.15rem; flex: none; accent-color: var(--accent); translate: 0 .15rem; }
.choice { border-top: 1px solid var(--line); padding: 1.1rem 0; }
.choice:last-child { padding-bottom: 0; }
.choice p { margin: 0 0 .7rem; }
label.above { display: block; font-weight: 600; margin-bottom: .4rem; }
input[type=text] { width: 100%; font: inherit; color: inherit; background: var(--page); border: 1px solid var(--soft);
  border-radius: .45rem; padding: .6rem .75rem; margin-bottom: 1rem; }
button { font: inherit; font-weight: 600; color: var(--accent); background: transparent; border: 1px solid currentColor;
  border-radius: .45rem; padding: .6rem 1.15rem; min-height: 2.75rem; cursor: pointer; }
button.first { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.danger { color: var(--danger); }
summary { cursor: pointer; color: var(--danger); font-weight: 600; padding: .3rem 0; }
details[open] summary { margin-bottom: .5rem; }
:focus-visible { outline: .19rem solid var(--accent); outline-offset: .15rem; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; } button { width: 100%; }
  .card { padding: 1.1rem; } main { padding-top: 1.5rem; } }
@media print { button, details, .choice { display: none; } }
`;

/** What the pages may do: have that style, and send forms to where they came from. Everything else is forbidden. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');
