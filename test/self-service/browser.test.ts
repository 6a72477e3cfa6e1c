import { afterAll, beforeAll, expect, test } from 'vitest';
import { type HttpListener, startHttpListener } from '../../src/http/listener.ts';
import { silentLog } from '../../src/log/log.ts';
import { heldRoutes } from '../../src/self-service/held-routes.ts';
import { LinkRequests } from '../../src/self-service/link-requests.ts';
import { type Chromium, chromium } from '../support/services/chromium.ts';
import type { Started } from '../support/services/disposable.ts';
import { heldMail, memoryHeldMails, plainLinks } from './held-mails.ts';

const EVIL = '"><script>document.title = "taken"</script><style>body{display:none}</style>';
const held = memoryHeldMails([
  heldMail({
    subject: EVIL,
    recipients: ['bob@partner.example', 'carol@partner.example'].map((address) => ({
      ...{ address, state: 'waiting', because: EVIL },
    })),
  }),
]);
const sent: string[] = [];
let listener: HttpListener;
let browser: Started<Chromium>;
let base: string;

beforeAll(async () => {
  const now = () => performance.now();
  const requests = new LinkRequests({
    ...{ mails: held, links: plainLinks, url: 'http://127.0.0.1', log: silentLog, now },
    send: async ({ to }) => void sent.push(to),
  });
  listener = await startHttpListener({
    ...{ name: 'web', host: '127.0.0.1', port: 0, tls: 'none', log: silentLog },
    ...{ maxConnections: 100, maxConnectionsPerAddress: 100, unlimitedNetworks: [], proxyProtocolFrom: [] },
    routes: heldRoutes({ mails: held, links: plainLinks, requests, hostname: 'gw.example.org', now }),
  });
  base = `http://127.0.0.1:${listener.port}`;
  browser = await chromium();
});

afterAll(async () => {
  await browser?.stop();
  await listener?.close();
});

test('a person asks for a link, follows it, and chooses, in a browser without JavaScript', async () => {
  await browser.open(`${base}/held`);
  await browser.type('#address', 'alice@example.org');
  await browser.click('button');
  expect(await browser.look('document.title')).toBe('Look into your mailbox');
  expect(sent).toEqual(['alice@example.org']);

  await browser.open(`${base}/held/list-alice@example.org`);
  await browser.click('li a');
  expect(await browser.look('document.title')).toBe('A mail of yours is waiting');
  // The address of the page, which is the right to decide, goes nowhere.
  expect(Object.keys(browser.sent()).map((name) => name.toLowerCase())).not.toContain('referer');

  await browser.look('document.querySelector("input[value^=bob]").click()');
  await browser.click('button[value=send-signed]');
  expect(held.chosen).toEqual([
    {
      id: 'mail1',
      choice: 'send-signed',
      recipients: ['carol@partner.example'],
      by: 'a link of alice@example.org',
    },
  ]);
  expect(await browser.look('document.querySelector("[role=status]").textContent')).toContain('on its way');
});

test('the pages load nothing, and the browser has nothing to complain of', async () => {
  expect(browser.complaints()).toEqual([]);
  expect(browser.asked().filter((url) => !/^http:\/\/127\.0\.0\.1:\d+\/held/.test(url))).toEqual([]);
});

test('attack: text of a mail runs nothing and hides nothing, where scripts may run too', async () => {
  await browser.allowScripts(true);
  await browser.open(`${base}/held/mail-mail1`);
  expect(await browser.look('document.title')).toBe('A mail of yours is waiting');
  expect(await browser.look('document.querySelector("dd").textContent')).toBe(EVIL);
  expect(await browser.look('getComputedStyle(document.querySelector("main")).maxWidth')).not.toBe('none');
  // Not even what were markup would: the page says that nothing may run.
  await browser.look(
    `document.body.append(Object.assign(document.createElement('script'), { textContent: 'document.title = "taken"' }))`,
  );
  expect(await browser.look('document.title')).toBe('A mail of yours is waiting');
  expect(browser.complaints().join()).toContain('Content Security Policy');
});

test('attack: another site cannot send the form', async () => {
  const foreign = `data:text/html,<form method=post action="${base}/held/mail-mail1"><input name=choice value=discard><button>x</button></form>`;
  const before = held.chosen.length;
  await browser.open(foreign);
  await browser.click('button');
  expect(await browser.look('document.body.textContent')).toContain('Forms of other sites');
  expect(held.chosen).toHaveLength(before);
});

test('what people need who do not see the page: names, labels, landmarks, a language', async () => {
  await browser.open(`${base}/held/mail-mail1`);
  expect(await browser.look('document.documentElement.lang')).toBe('en');
  expect(await browser.look('document.querySelectorAll("main h1").length')).toBe(1);
  expect(
    await browser.look(
      '[...document.querySelectorAll("input:not([type=hidden])")].every((each) => each.labels.length > 0)',
    ),
  ).toBe(true);
  expect(
    await browser.look(
      '[...document.querySelectorAll("[aria-labelledby],[aria-describedby]")].every((each) => document.getElementById(each.getAttribute("aria-labelledby") ?? each.getAttribute("aria-describedby")) !== null)',
    ),
  ).toBe(true);
  expect(
    await browser.look(
      'new Set([...document.querySelectorAll("[id]")].map(({ id }) => id)).size === document.querySelectorAll("[id]").length',
    ),
  ).toBe(true);
});
