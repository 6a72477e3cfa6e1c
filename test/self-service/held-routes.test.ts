import { describe, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import type { HeldMail } from '../../src/holding/held-mail.ts';
import type { Fields, HttpAnswer, HttpRequest, Route } from '../../src/http/message.ts';
import type { MailId } from '../../src/ids.ts';
import { limits } from '../../src/limits.ts';
import type { Event } from '../../src/log/events.ts';
import { heldRoutes } from '../../src/self-service/held-routes.ts';
import { LinkRequests } from '../../src/self-service/link-requests.ts';
import type { SendNote } from '../../src/self-service/ports.ts';
import { heldMail, memoryHeldMails, plainLinks } from './held-mails.ts';

type Sent = Parameters<SendNote>[0];

function pages(mails: HeldMail[], { fails = false } = {}) {
  const held = memoryHeldMails(mails);
  const sent: Sent[] = [];
  const events: Event[] = [];
  const time = { now: 0 };
  const requests = new LinkRequests({
    ...{ mails: held, links: plainLinks, url: 'https://gw.example.org', now: () => time.now },
    async send(note) {
      if (fails) throw new SealgateError({ code: 'queue.full', publicText: 'Full.', duration: 'temporary' });
      sent.push(note);
    },
    log: { write: (event) => events.push(event) },
  });
  const routes = heldRoutes({
    ...{ mails: held, links: plainLinks, requests, hostname: 'gw.example.org', now: () => time.now },
  });
  const route = (path: string): Route => {
    const found = routes.find((each) => each.path === path);
    if (found === undefined) throw new Error(`no route ${path}`);
    return found;
  };
  const request = (part: Partial<HttpRequest>): HttpRequest => ({
    ...{ method: 'GET', segments: {}, query: [], form: [], network: '192.0.2.1' },
    ...part,
  });
  const post = (address: string, network: string | null = '192.0.2.1') =>
    route('/held').post?.(
      request({ method: 'POST', form: [['address', address]], network }),
    ) as Promise<HttpAnswer>;
  return {
    ...{ held, sent, events, time },
    show: (token: string) => route('/held/:token').get(request({ segments: { token } })),
    submit: (token: string, form: Fields) =>
      route('/held/:token').post?.(
        request({ method: 'POST', segments: { token }, form }),
      ) as Promise<HttpAnswer>,
    post,
    async ask(address: string, network?: string | null) {
      const answer = await post(address, network);
      await requests.close();
      return answer;
    },
    form: () => route('/held').get(request({})),
  };
}

const two = heldMail({
  recipients: [
    { address: 'bob@partner.example', state: 'waiting', because: 'no certificate is known' },
    { address: 'carol@partner.example', state: 'waiting', because: 'its certificate has expired' },
    { address: 'dan@partner.example', state: 'leaving', because: 'a certificate is there' },
  ],
});

describe('the page of a mail', () => {
  test('says for whom it waits, why and until when, and offers what may be chosen', async () => {
    const { status, body, headers } = await pages([two]).show('mail-mail1');
    expect(status).toBe(200);
    for (const said of [
      'Offer for the bridge',
      'its certificate has expired',
      '27 November 2026',
      'on its way',
    ]) {
      expect(body).toContain(said);
    }
    expect(String(body).match(/name="choice" value="[^"]+"/g)).toEqual([
      'name="choice" value="wait"',
      'name="choice" value="send-signed"',
      'name="choice" value="discard"',
    ]);
    expect(String(body).match(/type="checkbox" name="recipient" value="[^"]+"/g)).toHaveLength(2);
    expect(headers?.['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'.*frame-ancestors 'none'/,
    );
  });

  test('a Subject that is not to be shown is not; what may not be chosen is not offered', async () => {
    const { body } = await pages([heldMail({ subject: null, choices: ['wait'] })]).show('mail-mail1');
    expect(body).not.toContain('Subject');
    expect(body).not.toContain('send-signed');
    expect(body).not.toContain('name="recipient"');
  });

  test('looking changes nothing: links are followed by scanners too', async () => {
    const { show, held } = pages([two]);
    await show('mail-mail1');
    expect(held.chosen).toEqual([]);
  });

  test('attack: addresses, Subjects and reasons are text', async () => {
    const evil = '<img src=x onerror=alert(1)>"\'&\u202e\0';
    const mail = heldMail({
      ...{ subject: evil, from: evil, rule: evil },
      recipients: ['one', 'two'].map((name) => ({ address: name + evil, state: 'waiting', because: evil })),
    });
    const { show, submit } = pages([mail]);
    for (const { body } of [await show('mail-mail1'), await submit('mail-mail1', [['choice', evil]])]) {
      expect(body).not.toMatch(/<img|\0/);
      expect(body).toContain('&lt;img src=x onerror=alert(1)&gt;&quot;');
      // The form has to give addresses back as they are; what is read shows what they are made of.
      expect(
        String(body)
          .replaceAll(/value="[^"]*"/g, '')
          .match(/[^<>]*\u202e[^<>]*/g)?.length,
      ).toBeLessThan(6);
      expect(body).toContain('\\u{202e}');
    }
  });

  test('attack: any link that opens nothing gets the same page', async () => {
    const { show, submit } = pages([two]);
    const answers = [
      await show('mail-gone'),
      await show('forged'),
      await show(`mail-${'x'.repeat(4_000)}`),
      await submit('forged', [['choice', 'discard']]),
      await submit('mail-gone', [['choice', 'discard']]),
      await submit('list-alice@example.org', [['choice', 'discard']]),
    ];
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 404));
  });

  test('of very many recipients it lists some, and a choice is for all', async () => {
    const recipients = Array.from({ length: 1_000 }, (_, i) => ({
      ...({ address: `r${i}@partner.example`, state: 'waiting', because: 'none' } as const),
    }));
    const { show, submit, held } = pages([heldMail({ recipients })]);
    const { body } = await show('mail-mail1');
    expect(body).toContain(`And ${1_000 - limits.selfService.shownRecipients} more.`);
    expect(body).not.toContain('name="recipient"');
    await submit('mail-mail1', [['choice', 'wait']]);
    expect(held.chosen[0]?.recipients).toBeNull();
  });
});

describe('a choice', () => {
  test('is for those who are ticked, and of those only who still wait', async () => {
    const { submit, held } = pages([two]);
    const { status, body } = await submit('mail-mail1', [
      ...([
        ['some', 'yes'],
        ['recipient', 'carol@partner.example'],
        ['recipient', 'dan@partner.example'],
      ] as const),
      ...([
        ['recipient', 'mallory@evil.example'],
        ['choice', 'send-signed'],
      ] as const),
    ]);
    expect(held.chosen).toEqual([
      {
        id: 'mail1',
        choice: 'send-signed',
        recipients: ['carol@partner.example'],
        by: 'a link of alice@example.org',
      },
    ]);
    expect([status, body]).toEqual([200, expect.stringContaining('signed, and not encrypted')]);
  });

  test.each<[what: string, form: Fields]>([
    [
      'nobody is ticked',
      [
        ['some', 'yes'],
        ['choice', 'discard'],
      ],
    ],
    ['nothing is chosen', []],
    ['attack: what was not offered is chosen', [['choice', 'release']]],
    [
      'attack: two things are chosen',
      [
        ['choice', 'wait'],
        ['choice', 'discard'],
      ],
    ],
  ])('%s: nothing is changed', async (_, form) => {
    const { submit, held } = pages([two]);
    const { status, body } = await submit('mail-mail1', form);
    expect([status, body]).toEqual([409, expect.stringContaining('class="bad"')]);
    expect(held.chosen).toEqual([]);
  });

  test('that is refused says why, with the mail as it is; one to a mail that has just gone says that', async () => {
    const { submit, held } = pages([two]);
    held.answer = { kind: 'refused', publicText: 'The rule does not let it.' };
    expect(await submit('mail-mail1', [['choice', 'wait']])).toMatchObject({
      status: 409,
      body: expect.stringContaining('The rule does not let it.'),
    });
    held.answer = { kind: 'unknown' };
    expect((await submit('mail-mail1', [['choice', 'wait']])).status).toBe(404);
  });

  test('while the database is away says so, and that nothing was changed', async () => {
    const { submit, held } = pages([two]);
    held.choose = () =>
      Promise.reject(new SealgateError({ code: 'x.y', publicText: 'Not now.', duration: 'temporary' }));
    expect(await submit('mail-mail1', [['choice', 'wait']])).toMatchObject({
      status: 503,
      body: expect.stringContaining('Not now.'),
    });
  });
});

test('the list of an address has its own mail and no other, with links that are relative', async () => {
  const { show } = pages([
    two,
    heldMail({ id: 'mail2' as MailId, subject: null }),
    heldMail({ id: 'mail3' as MailId, from: 'mallory@example.org', subject: 'Secret' }),
  ]);
  const { body } = await show('list-alice@example.org');
  expect(String(body).match(/href="[^"]+"/g)).toEqual(['href="mail-mail1"', 'href="mail-mail2"']);
  expect(body).toContain('and 1 other');
  expect(body).not.toContain('Secret');
  expect((await show('list-nobody@example.org')).body).toContain('No mail of yours is waiting');
});

test('attack: who differs in letter case alone is somebody else, and decides about her own mail only', async () => {
  const mine = heldMail({ id: 'mail1' as MailId, from: 'Bob@example.org' });
  const theirs = heldMail({ id: 'mail2' as MailId, from: 'bob@example.org' });
  const { ask, show, sent } = pages([mine, theirs]);
  await ask('BOB@example.org');
  expect(sent.map(({ to, lines }) => [to, lines[0]?.split(' ')[0]])).toEqual([
    ['Bob@example.org', 'One'],
    ['bob@example.org', 'One'],
  ]);
  expect(sent[0]?.lines).toContain('https://gw.example.org/held/list-Bob@example.org');
  const hrefs = async (token: string) => String((await show(token)).body).match(/href="[^"]+"/g);
  expect(await hrefs('list-Bob@example.org')).toEqual(['href="mail-mail1"']);
  expect(await hrefs('list-bob@EXAMPLE.org')).toEqual(['href="mail-mail2"']);
});

describe('asking for a link', () => {
  test('sends it to the address whose mail waits, as the mail has it', async () => {
    const { ask, sent, events } = pages([two]);
    const { status } = await ask(' Alice@example.org ');
    expect(status).toBe(200);
    expect(sent).toHaveLength(1);
    expect(sent[0]?.to).toBe('alice@example.org');
    expect(sent[0]?.lines).toContain('https://gw.example.org/held/list-alice@example.org');
    expect(sent[0]?.lines.join()).not.toContain('Offer');
    expect(events).toEqual([
      { event: 'held.link-sent', level: 'info', address: 'alice@example.org', mails: 1 },
    ]);
  });

  test('attack: the answer tells nobody whether anything waits, was sent, or failed', async () => {
    const there = pages([two]);
    const failing = pages([two], { fails: true });
    const answers = [await there.ask('alice@example.org'), await there.ask('nobody@example.org')];
    for (let i = 0; i < 5; i++) answers.push(await there.ask('alice@example.org'));
    answers.push(await failing.ask('alice@example.org'));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(failing.events).toMatchObject([{ event: 'held.link-not-sent' }]);
  });

  test('attack: the answer does not wait for what is found', async () => {
    const { held, post } = pages([two]);
    held.list = () => new Promise(() => undefined);
    expect((await post('alice@example.org')).status).toBe(200);
  });

  test('attack: nobody’s mailbox is filled, from however many places', async () => {
    const { ask, sent, time } = pages([two]);
    for (let i = 0; i < 50; i++) await ask('alice@example.org', `192.0.2.${i}`);
    expect(sent).toHaveLength(limits.selfService.links);
    time.now += limits.selfService.linksMs;
    await ask('ALICE@example.org', '192.0.2.99');
    expect(sent).toHaveLength(limits.selfService.links + 1);
  });

  test('attack: one client asks so often and no more; others go on, and so does it later', async () => {
    const { ask, time } = pages([two]);
    for (let i = 0; i < limits.selfService.requests; i++)
      expect((await ask(`a${i}@example.org`)).status).toBe(200);
    const refused = await ask('alice@example.org');
    expect([refused.status, refused.headers?.['retry-after']]).toEqual([429, '900']);
    expect((await ask('alice@example.org', '192.0.2.2')).status).toBe(200);
    expect((await ask('alice@example.org', null)).status).toBe(200);
    time.now += limits.selfService.requestsMs;
    expect((await ask('alice@example.org')).status).toBe(200);
  });

  test('attack: all addresses together get so many links in an hour', async () => {
    const { allLinks } = limits.selfService;
    const mails = Array.from({ length: allLinks + 5 }, (_, i) => heldMail({ from: `a${i}@example.org` }));
    const { ask, sent, events } = pages(mails);
    for (const { from } of mails) await ask(from, null);
    expect(sent).toHaveLength(allLinks);
    expect(events.filter(({ event }) => event === 'held.link-not-sent')).toHaveLength(5);
  });

  test.each([
    '',
    'alice',
    'a@b@c',
    'alice@example.org\r\nBcc: x@y.example',
    'a b@c',
    `${'a'.repeat(320)}@b.example`,
  ])('attack: %j is no address', async (address) => {
    const { ask, sent, form } = pages([two]);
    const answer = await ask(address);
    expect([answer.status, sent]).toEqual([400, []]);
    expect((await form()).body).not.toContain('class="bad"');
  });
});
