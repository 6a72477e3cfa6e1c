import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import { type AttemptParts, attempt } from '../../src/queue/attempt.ts';
import { removeDeliveries } from '../../src/queue/by-hand.ts';
import { type Delivery, readDeliveries, readDelivery } from '../../src/queue/delivery-rows.ts';
import { claimOne, LEASE_MS } from '../../src/queue/leases.ts';
import { OwnMails } from '../../src/queue/own-mail.ts';
import type { MailToDeliver } from '../../src/queue/ports.ts';
import type { Parameter } from '../../src/smtp/envelope.ts';
import { newOwnKey, ownIdentity } from './support/own-identity.ts';
import { DAY_MS, mailbox, mailTo, startTestQueue, type TestQueue } from './support/queue.ts';
import { ScriptedCourier } from './support/scripted-courier.ts';

const identity = ownIdentity([newOwnKey()]);
const MINUTE_MS = 60_000;

let q: TestQueue;
let courier: ScriptedCourier;
let parts: AttemptParts;
beforeEach(async () => {
  q = await startTestQueue();
  courier = new ScriptedCourier();
  const clock = () => q.time.now;
  const log = { write: (event: (typeof q.events)[number]) => q.events.push(event) };
  parts = {
    ...{ store: q.store, spool: q.spool, queue: q.queue, clock, log },
    ...{ hostname: 'gateway.example.org', server: 'mail.example.org', courier: () => courier },
    ownMails: new OwnMails({ identity, hostname: 'gateway.example.org', days: 5, clock, log }),
    async insist(statements) {
      return q.store.transaction(statements);
    },
  };
});
afterEach(() => q.stop());

/** One attempt, if its time has come. */
async function tried(id: string, having: AttemptParts = parts): Promise<void> {
  const claim = await claimOne(q.store, id, { holder: 'here', now: q.time.now });
  if (claim !== null) await attempt(claim, having);
}
const files = () => readdir(join(q.state, 'queue'));
const all = () => readDeliveries(q.store, [], 100);
const events = () => q.events.map(({ event }) => event).filter((event) => event !== 'queue.enqueued');
async function put(changes: Parameters<typeof mailTo>[1] = {}): Promise<string> {
  const [id = ''] = await q.queue.enqueue([mailTo(q, changes)]);
  return id;
}
/** Recipients with parameters, and parameters of the mail. */
function envelope(
  recipients: Readonly<Record<string, readonly Parameter[]>>,
  mailParameters: readonly Parameter[] = [],
): MailToDeliver['envelope'] {
  return {
    reversePath: mailbox('alice@example.org'),
    mailParameters,
    recipients: Object.entries(recipients).map(([address, parameters]) => ({
      ...{ mailbox: mailbox(address), parameters },
    })),
  };
}
const notify = (value: string): Parameter[] => [{ keyword: 'NOTIFY', value }];
/** The one report in the queue. */
async function report() {
  const [delivery, ...more] = (await all()).filter(({ purpose }) => purpose === 'report');
  if (delivery === undefined || more.length > 0) throw new Error(`${more.length} reports too many, or none`);
  const octets = await collectFrom(await q.spool.read(delivery.id));
  return { delivery, octets, text: octets.toString('latin1'), parsed: await simpleParser(octets) };
}

test('what was delivered is gone, rows and file', async () => {
  const id = await put({ to: ['bob@partner.example', 'carol@partner.example'] });
  await tried(id, parts);
  expect(courier.texts).toEqual([expect.stringContaining('The text.')]);
  expect(await all()).toEqual([]);
  expect(await files()).toEqual([]);
  expect(q.events.at(-1)).toMatchObject({
    event: 'queue.delivered',
    recipients: 2,
    reply: '250 2.0.0 taken',
  });
});

test('who has it gets it no second time; who waits is tried again, later and later', async () => {
  const id = await put({ to: ['bob@partner.example', 'slow@partner.example'] });
  courier.script = (localPart) => (localPart === 'slow' ? 'later' : 'delivered');
  await tried(id, parts);
  const waits: number[] = [];
  for (let i = 0; i < 4; i++) {
    const { nextAt, recipients } = (await readDelivery(q.store, id)) as Delivery;
    expect(recipients.map(({ recipient }) => recipient.mailbox.localPart)).toEqual(['slow']);
    waits.push((nextAt.getTime() - q.time.now.getTime()) / MINUTE_MS);
    q.time.now = nextAt;
    await tried(id, parts);
  }
  expect(waits).toEqual([1, 2, 4, 8]);
  expect(courier.mails.map(({ envelope: { recipients } }) => recipients.length)).toEqual([2, 1, 1, 1, 1]);
  const [waiting] = ((await readDelivery(q.store, id)) as Delivery).recipients;
  expect(waiting?.because).toBe('the mail server said: 451 4.3.0 not now');
  courier.script = () => 'delivered';
  q.time.now = ((await readDelivery(q.store, id)) as Delivery).nextAt;
  await tried(id, parts);
  expect(await all()).toEqual([]);
  expect(await files()).toEqual([]);
});

test('a mail whose time has not come, or that is gone, is not tried', async () => {
  const id = await put({ notBefore: new Date(q.time.now.getTime() + 1) });
  await tried(id, parts);
  await tried('00000000000000000000', parts);
  expect(courier.mails).toEqual([]);
});

test('a refusal for good is reported to the sender, in a report that programs can read', async () => {
  courier.script = (localPart) => (localPart === 'gone' ? 'failed' : 'delivered');
  const id = await put({
    envelope: envelope(
      {
        'gone@partner.example': [{ keyword: 'ORCPT', value: 'rfc822;old+2Bname@partner.example' }],
        'bob@partner.example': [],
      },
      [{ keyword: 'ENVID', value: 'QQ+2B1' }],
    ),
  });
  await tried(id, parts);
  const { delivery, text, parsed } = await report();
  expect(delivery).toMatchObject({ reversePath: null, requireTls: 'no' });
  expect(delivery.recipients.map(({ recipient }) => recipient.mailbox)).toEqual([
    mailbox('alice@example.org'),
  ]);
  expect(parsed.from?.value).toEqual([{ name: 'Mail Delivery System', address: 'gateway@example.org' }]);
  expect(parsed.headers.get('auto-submitted')).toBe('auto-replied');
  expect(parsed.text).toContain('gone@partner.example');
  expect(parsed.text).not.toContain('bob@partner.example');
  expect(text).toMatch(/^Content-Type: multipart\/report; report-type=delivery-status;/m);
  expect(text).toContain(
    [
      'Original-Envelope-Id: QQ+1',
      'Reporting-MTA: dns; gateway.example.org',
      'Arrival-Date: Sun, 01 Mar 2026 12:00:00 +0000',
      '',
      'Original-Recipient: rfc822; old+name@partner.example',
      'Final-Recipient: rfc822; gone@partner.example',
      'Action: failed',
      'Status: 5.1.1',
      'Remote-MTA: dns; mail.example.org',
      'Diagnostic-Code: smtp; 550 5.1.1 no such user',
      'Last-Attempt-Date: Sun, 01 Mar 2026 12:00:00 +0000',
      '',
    ].join('\r\n'),
  );
  expect(text).toContain(
    'Content-Type: text/rfc822-headers\r\n\r\nFrom: alice@example.org\r\nSubject: plans\r\n',
  );
  expect(text).not.toContain('The text.');
  expect(events()).toEqual(['queue.delivered', 'queue.failed']);
  expect(await files()).toEqual([delivery.id]);
});

test.each([
  ['RET=FULL brings the whole mail back', 'FULL', 'no', true],
  ['RET=HDRS its header', 'HDRS', 'no', false],
  ['what must leave by TLS only never comes back whole', 'FULL', 'upstream', false],
] as const)('%s', async (_, ret, requireTls, whole) => {
  courier.script = () => 'failed';
  await tried(
    await put({
      requireTls,
      envelope: envelope({ 'bob@partner.example': [] }, [{ keyword: 'RET', value: ret }]),
    }),
    parts,
  );
  const { text, delivery } = await report();
  expect(text.includes('The text.')).toBe(whole);
  expect(text).toContain(`Content-Type: ${whole ? 'message/rfc822' : 'text/rfc822-headers'}\r\n`);
  expect(delivery.requireTls).toBe(requireTls);
});

/** As by a server that confirms nothing. */
function unconfirmed(): AttemptParts['courier'] {
  return () => ({
    deliver: async (mail) =>
      mail.envelope.recipients.map((recipient) => ({
        ...{ recipient, kind: 'delivered' as const, reply: null, unconfirmed: true as const },
      })),
    close: async () => undefined,
  });
}

test('RET is for failures: where a mail was handed on, its header comes back (RFC 3461 §4.3)', async () => {
  const sent = envelope({ 'bob@partner.example': notify('SUCCESS') }, [{ keyword: 'RET', value: 'FULL' }]);
  await tried(await put({ envelope: sent }), { ...parts, courier: unconfirmed() });
  const { text } = await report();
  expect(text).toContain('Action: relayed\r\n');
  expect(text).toContain('Content-Type: text/rfc822-headers\r\n');
  expect(text).not.toContain('The text.');
});

test('a report that was asked for of who has the mail waits for room, and nobody gets the mail again (RFC 3461 §5.2.3)', async () => {
  const sent = envelope({ 'bob@partner.example': notify('SUCCESS'), 'eve@partner.example': [] });
  const id = await put({ envelope: sent });
  let hasRoom = false;
  let deliveries = 0;
  const taking: AttemptParts = {
    ...parts,
    courier: () => ({
      deliver: async (mail) => {
        deliveries++;
        const reply = { code: 250, lines: ['2.0.0 as 4711'] };
        return mail.envelope.recipients.map((recipient) => ({
          ...{ recipient, kind: 'delivered' as const, reply, unconfirmed: true as const },
        }));
      },
      close: async () => undefined,
    }),
    queue: {
      stage: (mail) => {
        const full = { code: 'queue.full', publicText: 'No room.', duration: 'temporary' } as const;
        return hasRoom ? q.queue.stage(mail) : Promise.reject(new SealgateError(full));
      },
    },
  };
  await tried(id, taking);
  q.time.now = new Date(q.time.now.getTime() + 10 * MINUTE_MS);
  await tried(id, taking);
  const waiting = (await readDelivery(q.store, id)) as Delivery;
  expect([waiting.recipients.length, waiting.taken.length, deliveries]).toEqual([0, 1, 1]);
  expect(events().filter((event) => event === 'queue.delivered')).toHaveLength(1);
  hasRoom = true;
  // However long that took.
  q.time.now = new Date(waiting.expiresAt.getTime() + 1);
  await tried(id, taking);
  expect(deliveries).toBe(1);
  const { text } = await report();
  expect(text).toContain('Final-Recipient: rfc822; bob@partner.example\r\nAction: relayed\r\n');
  expect(text).toContain('Diagnostic-Code: smtp; 250 2.0.0 as 4711\r\n');
  expect(text).not.toContain('eve@');
  expect(await readDelivery(q.store, id)).toBeNull();
  expect(await files()).toHaveLength(1);
});

test.each(['relayed', 'failed'] as const)(
  'of a mail that was opened nothing goes back to whoever sent it: %s',
  async (action) => {
    courier.script = () => 'failed';
    const ret = [{ keyword: 'RET', value: 'FULL' }];
    const sent = envelope({ 'bob@partner.example': notify('SUCCESS,FAILURE') }, ret);
    const id = await put({ purpose: 'opened', envelope: sent });
    await tried(id, action === 'failed' ? parts : { ...parts, courier: unconfirmed() });
    const { text, parsed } = await report();
    expect(text).toContain(`Action: ${action}\r\n`);
    expect(text).not.toMatch(/plans|The text/);
    expect(parsed.attachments).toEqual([]);
  },
);

test.each([
  ['NEVER', 'failed', []],
  ['SUCCESS', 'failed', []],
  ['DELAY', 'failed', []],
  ['FAILURE', 'failed', ['failed']],
  ['SUCCESS,FAILURE', 'failed', ['failed']],
  ['FAILURE', 'later', []],
  ['DELAY', 'later', ['delayed']],
] as const)('NOTIFY=%s: %s after five hours is reported as %j', async (value, kind, actions) => {
  const id = await put({ envelope: envelope({ 'bob@partner.example': notify(value) }) });
  q.time.now = new Date(q.time.now.getTime() + 5 * 60 * MINUTE_MS);
  courier.script = () => kind;
  await tried(id, parts);
  const reports = (await all()).filter(({ purpose }) => purpose === 'report');
  const texts = await Promise.all(
    reports.map(async (one) => String(await collectFrom(await q.spool.read(one.id)))),
  );
  expect(texts.map((text) => /^Action: (\w+)\r$/m.exec(text)?.[1])).toEqual(actions);
});

test('that it takes long is said once', async () => {
  const id = await put({ envelope: envelope({ 'bob@partner.example': notify('DELAY') }) });
  courier.script = () => 'later';
  for (let i = 0; i < 12; i++) {
    await tried(id, parts);
    q.time.now = ((await readDelivery(q.store, id)) as Delivery).nextAt;
  }
  expect(q.time.now.getTime()).toBeGreaterThan(new Date('2026-03-01T20:00:00Z').getTime());
  const { text } = await report();
  expect(text).toContain('Will-Retry-Until: Fri, 06 Mar 2026 12:00:00 +0000\r\n');
  expect(text).toContain('Status: 4.3.0\r\n');
});

test('what has expired is tried a last time, and has failed then', async () => {
  const id = await put();
  courier.script = () => 'later';
  q.time.now = new Date(q.time.now.getTime() + 6 * DAY_MS);
  await tried(id, parts);
  expect(courier.mails.length).toBe(1);
  expect(await readDelivery(q.store, id)).toBeNull();
  const { text } = await report();
  expect(text).toContain('Action: failed\r\nStatus: 5.4.7\r\n');
  expect(q.events.findLast(({ event }) => event === 'queue.failed')).toMatchObject({
    reason: 'expired; the mail server said: 451 4.3.0 not now',
    reported: true,
  });
});

test.each(['question', 'notice', 'report', 'archive'] as const)(
  'of a %s that fails nobody is told but the log',
  async (purpose) => {
    courier.script = () => 'failed';
    await tried(await put({ purpose }), parts);
    expect(await all()).toEqual([]);
    expect(q.events.at(-1)).toMatchObject({ event: 'queue.failed', purpose, reported: false });
  },
);

test('a mail without a reverse path is not reported', async () => {
  courier.script = () => 'failed';
  await tried(
    await put({ envelope: { ...envelope({ 'bob@partner.example': [] }), reversePath: null } }),
    parts,
  );
  expect(await all()).toEqual([]);
});

test('success that nobody will confirm is told to those who asked for that', async () => {
  parts = { ...parts, courier: unconfirmed() };
  const recipients = { 'bob@partner.example': notify('SUCCESS'), 'carol@partner.example': [] };
  await tried(await put({ envelope: envelope(recipients) }), parts);
  const { text } = await report();
  expect(text).toContain(
    'Final-Recipient: rfc822; bob@partner.example\r\nAction: relayed\r\nStatus: 2.0.0\r\n',
  );
  expect(text).not.toContain('carol');
});

test('to an address beyond ASCII goes a report for programs that know them', async () => {
  courier.script = () => 'failed';
  const to = envelope({ 'jürgen@partner.example': [] });
  await tried(await put({ envelope: { ...to, reversePath: mailbox('alicé@example.org') } }), parts);
  const { octets, delivery } = await report();
  expect(octets.toString()).toContain('Content-Type: message/global-delivery-status\r\n');
  expect(octets.toString()).toContain('Final-Recipient: utf-8; jürgen@partner.example\r\n');
  expect(delivery.mailParameters).toEqual([{ keyword: 'SMTPUTF8', value: null }]);
});

test('to anybody else goes a report that every server takes, whatever was in the mail, its addresses and the reply', async () => {
  const said = 'café voll: \u0085 jürgen\r\nX-Forged: yes';
  parts.courier = () => ({
    deliver: async ({ envelope: { recipients } }) =>
      recipients.map((recipient) => ({
        ...{ recipient, kind: 'failed' as const, because: said },
        reply: { code: 550, lines: [`5.1.1 ${said}`] },
      })),
    close: async () => undefined,
  });
  const octets = Buffer.from('From: alice@example.org\r\nSubject: Grüße\r\n\r\nÄ text.\r\n');
  const orcpt = (value: string): Parameter[] => [{ keyword: 'ORCPT', value }];
  const recipients = {
    'jü+r=gen@partner.example': orcpt('utf-8;jürgen@partner.example'),
    'a@partner.example': orcpt('rfc822;a+0D+0AX-Forged:+20yes@partner.example'),
    '"b\\"> X-Forged: yes"@partner.example': [],
  };
  const mailParameters = [
    { keyword: 'RET', value: 'FULL' },
    { keyword: 'ENVID', value: 'a+0D+0AX-Forged:+20yes' },
  ];
  await tried(await put({ octets, envelope: envelope(recipients, mailParameters) }), parts);
  const { text, parsed } = await report();
  expect(text).toMatch(/^[\x09\x0a\x0d\x20-\x7e]*$/);
  expect(text).not.toMatch(/^X-Forged/m);
  expect(text).toContain('\r\nContent-Type: message/delivery-status\r\n');
  expect(text).toContain('Original-Recipient: utf-8; j\\x{FC}rgen@partner.example\r\n');
  expect(text).toContain('Final-Recipient: utf-8; j\\x{FC}\\x{2B}r\\x{3D}gen@partner.example\r\n');
  expect(text).toContain('Original-Envelope-Id: a+0D+0AX-Forged:+20yes\r\n');
  expect(text).toContain('Diagnostic-Code: smtp; 550 5.1.1 caf? voll:   j?rgen X-Forged: yes\r\n');
  expect(parsed.text).toContain('jü+r=gen@partner.example');
  const header = parsed.attachments.find(({ contentType }) => contentType === 'text/rfc822-headers');
  expect(header?.content.toString()).toContain('Subject: Grüße');
  expect(header?.content.toString()).not.toContain('text.');
});

test('nobody fails in silence: without room for the report everybody waits, and who has it is crossed out', async () => {
  const id = await put({ to: ['bob@partner.example', 'gone@partner.example'] });
  courier.script = (localPart) => (localPart === 'gone' ? 'failed' : 'delivered');
  const noRoom = new SealgateError({ code: 'queue.spool', publicText: 'Full.', duration: 'temporary' });
  await tried(id, { ...parts, queue: { stage: () => Promise.reject(noRoom) } });
  const waiting = (await readDelivery(q.store, id)) as Delivery;
  expect(waiting.recipients.map(({ recipient }) => recipient.mailbox.localPart)).toEqual(['gone']);
  expect((await q.spool.read(id)).length).toBeGreaterThan(0);
  q.time.now = waiting.nextAt;
  await tried(id, parts);
  expect((await report()).text).toContain('Final-Recipient: rfc822; gone@partner.example');
});

test('a file that is gone or damaged has failed, and is reported without the mail', async () => {
  const id = await put();
  await rm(join(q.state, 'queue', id));
  await tried(id, parts);
  expect(courier.mails).toEqual([]);
  const { text } = await report();
  expect(text).toContain('Action: failed\r\nStatus: 5.0.0\r\n');
  expect(text).not.toContain('Subject: plans');
});

test('for a server that is away no key is used, until the sender has to hear of it', async () => {
  const id = await put();
  let readings = 0;
  const spool: AttemptParts['spool'] = {
    ...{ write: (octets) => q.spool.write(octets), remove: (name) => q.spool.remove(name) },
    read(name) {
      readings++;
      return q.spool.read(name);
    },
  };
  const away = {
    deliver: () => courier.deliver(mailTo(q)),
    close: async () => undefined,
    away: () => 'it is away',
  };
  const dead: AttemptParts = { ...parts, spool, courier: () => away };
  await tried(id, dead);
  const waiting = (await readDelivery(q.store, id)) as Delivery;
  expect(waiting.recipients[0]?.because).toBe('it is away');
  expect(waiting.attempts).toBe(1);
  expect([readings, courier.mails.length]).toEqual([0, 0]);
  q.time.now = waiting.expiresAt;
  await tried(id, dead);
  expect(readings).toBe(1);
  expect((await report()).text).toContain('Subject: plans');
});

test('what is taken out by hand while it is begun has not failed', async () => {
  const id = await put();
  const spool: AttemptParts['spool'] = {
    ...{ write: (octets) => q.spool.write(octets), remove: (name) => q.spool.remove(name) },
    async read(name) {
      await removeDeliveries(q.store, (name) => q.spool.remove(name), { ids: [id] });
      return q.spool.read(name);
    },
  };
  await tried(id, { ...parts, spool });
  expect(await all()).toEqual([]);
  expect(events()).toEqual([]);
});

test('what somebody does whose claim was lost changes nothing: whoever took over writes what became of it', async () => {
  const id = await put({ to: ['gone@partner.example', 'bob@partner.example'] });
  const late = await claimOne(q.store, id, { holder: 'slow', now: q.time.now });
  if (late === null) throw new Error('not claimed');
  expect(await claimOne(q.store, id, { holder: 'other', now: q.time.now })).toBeNull();
  q.time.now = new Date(q.time.now.getTime() + LEASE_MS);
  // While the first one is at work on it, somebody else takes over, and says that all wait.
  courier.script = (localPart) => (localPart === 'gone' ? 'failed' : 'later');
  const taken: AttemptParts = {
    ...parts,
    courier: () => ({
      async deliver(mail) {
        const other = new ScriptedCourier(() => 'later');
        await tried(id, { ...parts, courier: () => other });
        return courier.deliver(mail);
      },
      close: async () => undefined,
    }),
  };
  await attempt(late, taken);
  const [left, ...more] = await all();
  expect(more).toEqual([]);
  expect(left).toMatchObject({ id, attempts: 1, fence: 2, lease: null });
  expect(left?.recipients).toHaveLength(2);
  expect(await files()).toHaveLength(1);
  expect(events()).toEqual(['queue.delayed', 'queue.claim-lost']);
});

test('of two deliveries of one mail that end at the same moment on two nodes the last one takes its file along', async () => {
  const id = await put();
  // As a transaction sees it that began before the other one had ended.
  const insist: AttemptParts['insist'] = async (statements) => {
    const rows = await q.store.transaction(statements);
    return [...rows.slice(0, -1), [{ used: 1 }]];
  };
  await tried(id, { ...parts, insist });
  expect(await files()).toEqual([]);
});

test('a way that is not configured any more waits', async () => {
  const id = await put({ way: { kind: 'append', archive: 'main', login: 'alice' } });
  await tried(id, { ...parts, courier: () => null });
  expect(((await readDelivery(q.store, id)) as Delivery).recipients[0]?.because).toContain('not configured');
});
