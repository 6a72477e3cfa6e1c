import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { crlf, encrypted, mailOf, textEntity } from '../attacks/support/openssl-mail.ts';
import { Conversation } from '../pop3-proxy/support/conversation.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { SoftHsm } from '../support/services/softhsm.ts';
import type { Answer, ImapClient } from './support/imap-client.ts';
import { fetched, type Response } from './support/imap-response.ts';
import { KeyProcessKiller, type Moment } from './support/key-process.ts';
import { outerFields, richEntity } from './support/message-classes.ts';
import { Random } from './support/random.ts';
import { digestsOf, loggedIn, sha256 } from './support/seeded-mailbox.ts';

/**
 * The key process is killed at any moment while clients read: whatever they see of a message is whole and right, and what they do
 * not see is refused for now. test/imap-proxy/kill.test.ts does the same to the mail server and to the gateway.
 */

const SMALL = 6;
/** No key is needed for it. */
const PLAIN = SMALL + 1;
const LARGE = SMALL + 2;
/** Its view has more, all others together less. */
const LARGE_OCTETS = 200_000;

const lines = Array.from({ length: 15_000 }, (_, n) => `${n} of many lines, each another`);

let token: Started<SoftHsm>;
let system: MailSystem;
let killer: KeyProcessKiller;
let restarted: Gateway | null = null;
let stored: string[];

beforeAll(async () => {
  token = await services.softhsm();
  system = await startMailSystem({
    users: ['bob'],
    async keys({ pki, folder }) {
      const key = await token.generateKey(pki, { address: addressOf('bob') });
      await writeFile(join(folder, 'bob.pem'), key.certificate);
      const pin = join(folder, 'token.pin');
      await writeFile(pin, token.pin, { mode: 0o600 });
      const source = { kind: 'pkcs11', module: token.module, token: token.tokenLabel, pin: { file: pin } };
      return [{ name: 'hsm', ...source, environment: token.env }];
    },
    keyOf: (name) => `hsm/${addressOf(name)}`,
  });
  const to = [{ certificateFile: join(system.folder, 'secrets', 'bob.pem') }];
  const seal = async (name: string, entity: Buffer): Promise<Buffer> =>
    mailOf(outerFields(name), await encrypted(entity, to, { cipher: 'aes-256-gcm' }));
  const direct = await loggedIn(system.dovecot.imapPort, system, 'bob');
  for (let n = 1; n <= SMALL; n++) {
    const entity = n % 2 === 0 ? richEntity(`secret ${n}`) : textEntity(`secret ${n}`);
    await direct.append('INBOX', await seal(`sealed ${n}`, entity));
  }
  await direct.append('INBOX', mailOf(outerFields('plain'), textEntity('no secret')));
  await direct.append(
    'INBOX',
    await seal('large', crlf(`Content-Type: text/plain\n\n${lines.join('\n')}\n`)),
  );
  direct.close();
  stored = await digestsOf(system.dovecot.mailFolder(system.user('bob').login));
  killer = new KeyProcessKiller();
});
afterEach(async () => {
  expect(await digestsOf(system.dovecot.mailFolder(system.user('bob').login))).toEqual(stored);
});
afterAll(async () => {
  await restarted?.close();
  await system?.stop();
  await token?.stop();
});

async function client(port = system.imapPort): Promise<ImapClient> {
  const opened = await loggedIn(port, system, 'bob', system.pki.ca.certificate);
  await opened.ok('EXAMINE INBOX');
  return opened;
}

/** UID and what a FETCH response says of it, without what is no content. */
type Said = { uid: number; content: string };

/** Everything that is said of messages; throws for a response that is not in the grammar. */
function saidIn(responses: readonly Response[]): Said[] {
  return responses.flatMap((response) => {
    const found = fetched(response);
    if (found === null) {
      if (/^OK \[INPROGRESS[^\r\n]*$/.test(response.text) || /^BYE \[UNAVAILABLE\] /.test(response.text))
        return [];
      throw new Error(`a response that nobody expects: ${response.text}`);
    }
    const content = [...found.items].filter(([label]) => label !== 'UID' && label !== 'FLAGS');
    if (content.length === 0) return [];
    const text = content.map(([label, value]) => `${label} ${textOf(value)}`).join('\n');
    return [{ uid: Number(found.items.get('UID')), content: sha256(Buffer.from(text, 'latin1')) }];
  });
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return `(${value.map(textOf).join(' ')})`;
  return Buffer.isBuffer(value) ? JSON.stringify(value.toString('latin1')) : String(value);
}

/** What is wrong with an answer; `whole`: what the command says when nothing is killed. */
function faults({ status, text, untagged }: Answer, whole: readonly Said[]): string[] {
  const known = new Map(whole.map(({ uid, content }) => [uid, content]));
  const said = saidIn(untagged);
  const wrong = said
    .filter(({ uid, content }) => known.get(uid) !== content)
    .map(({ uid }) => `message ${uid} has other octets`);
  const uids = new Set(said.map(({ uid }) => uid));
  if (uids.size < said.length) wrong.push('a message is there twice');
  const missing = [...known.keys()].filter((uid) => !uids.has(uid));
  if (missing.includes(PLAIN)) wrong.push('the message that needs no key is not there');
  const refused = /^\[UNAVAILABLE\] Key for ([0-9]+) messages? not available: /.exec(text);
  if (status === 'OK' && missing.length > 0) wrong.push(`OK without messages ${missing.join()}`);
  if (status !== 'OK' && Number(refused?.[1]) !== missing.length)
    wrong.push(`${missing.join()}: ${status} ${text}`);
  return wrong;
}

async function said(command: string, port?: number): Promise<Said[]> {
  const one = await client(port);
  const { untagged } = await one.ok(command);
  one.close();
  return saidIn(untagged);
}

const MANY = `UID FETCH 1:${PLAIN} (UID BODY.PEEK[])`;
const ONE_LARGE = `UID FETCH ${LARGE} (BODY.PEEK[])`;

const random = new Random(34);

type When = Moment['at'] | 'first-octet';

/** Moments of a command that asks for the key so many times and is answered with so many octets. */
function momentOf(at: When, requests: number, octets: number): Moment {
  switch (at) {
    case 'command':
      return { at };
    case 'turn':
      return { at, turns: random.below(40) };
    case 'first-octet':
      return { at: 'octets', count: 1 };
    case 'octets':
      return { at, count: 1 + random.below(octets - 1) };
    default:
      return { at, nth: 1 + random.below(requests) };
  }
}

const KILLS: readonly { of: string; commands: readonly string[]; moments: readonly When[] }[] = [
  {
    of: 'many messages',
    commands: [MANY],
    moments: ['before-request', 'inside-request', 'answer', 'octets'],
  },
  {
    of: 'structures, parts and pieces at once',
    commands: [
      `FETCH 1:${PLAIN} (UID FLAGS BODYSTRUCTURE)`,
      `UID FETCH 1:${PLAIN} (RFC822.SIZE BODY.PEEK[HEADER] BODY.PEEK[1])`,
      `UID FETCH 1:${PLAIN} (BODY.PEEK[]<300.900>)`,
    ],
    moments: ['turn', 'inside-request', 'behind-request', 'first-octet'],
  },
  {
    of: 'a large message',
    commands: [ONE_LARGE],
    moments: ['inside-request', 'answer', 'first-octet', 'octets'],
  },
];

test.each(KILLS)(
  '34: the key process is killed at any moment, clients read $of: whole and right, or refused for now',
  async ({ commands, moments }) => {
    const whole: Said[][] = [];
    let octets = 0;
    for (const command of commands) {
      const reader = await client();
      const { untagged } = await reader.ok(command);
      whole.push(saidIn(untagged));
      octets = untagged.reduce((sum, response) => sum + response.octets.length, 0);
      reader.close();
    }
    const large = octets > LARGE_OCTETS;
    expect(whole.map(({ length }) => length)).toEqual(commands.map(() => (large ? 1 : PLAIN)));
    for (const at of moments) {
      const moment = momentOf(at, large ? 1 : SMALL, octets);
      const readers = await Promise.all(commands.map(() => client()));
      const [watched] = readers;
      if (watched === undefined) throw new Error('nobody reads');
      killer.arm(moment, watched.socket);
      const ask = (): Promise<Answer[]> =>
        Promise.all(readers.map((reader, n) => reader.command(commands[n] ?? '')));
      const wrongIn = (answers: readonly Answer[]): string[] =>
        answers.flatMap((answer, n) => faults(answer, whole[n] ?? []));
      const first = await ask();
      const killed = killer.disarm();
      expect([moment, killed, wrongIn(first)]).toEqual([moment, true, []]);
      const refused = first.some(({ status }) => status === 'NO');
      // What has a request when it is gone never answers it; a view that is made needs it no longer.
      if (at === 'before-request' || at === 'inside-request')
        expect([moment, refused]).toEqual([moment, true]);
      if (large && at !== 'inside-request') expect([moment, refused]).toEqual([moment, false]);
      let again = await ask();
      // Where nothing was missing, the end of the process may meet what is asked next.
      if (!refused && again.some(({ status }) => status === 'NO')) {
        expect([moment, wrongIn(again)]).toEqual([moment, []]);
        again = await ask();
      }
      expect([moment, again.map(({ status }) => status), wrongIn(again)]).toEqual([
        moment,
        commands.map(() => 'OK'),
        [],
      ]);
      for (const reader of readers) reader.close();
    }
    for (const [n, command] of commands.entries()) expect(await said(command)).toEqual(whole[n]);
  },
);

test('34: what is read when nothing is killed is what was sealed', async () => {
  const reader = await client();
  for (let uid = 1; uid <= SMALL; uid++)
    expect((await reader.item(uid, 'BODY.PEEK[]')).toString('latin1')).toContain(`secret ${uid}`);
  const large = (await reader.item(LARGE, 'BODY.PEEK[]')).toString('latin1');
  expect(large).toContain(lines.join('\r\n'));
  reader.close();
});

test('34: a message that is fetched piece by piece, its view made anew for each, is put together as it is across kills', async () => {
  const reader = await client();
  const whole = await reader.item(LARGE, 'BODY.PEEK[]');
  const pieces: Buffer[] = [];
  const size = Math.ceil(whole.length / 4);
  for (let at = 0; at < whole.length; at += size) {
    const command = `UID FETCH ${LARGE} (BODY.PEEK[]<${at}.${size}>)`;
    // No view is at hand then.
    await reader.ok('EXAMINE INBOX');
    if (pieces.length % 2 === 1) {
      killer.arm({ at: 'inside-request', nth: 1 }, reader.socket);
      const { status, text, untagged } = await reader.command(command);
      expect([killer.disarm(), status, saidIn(untagged)]).toEqual([true, 'NO', []]);
      expect(text).toMatch(/^\[UNAVAILABLE\] Key for 1 message /);
    }
    pieces.push(await reader.item(LARGE, `BODY.PEEK[]<${at}.${size}>`));
  }
  expect(Buffer.concat(pieces).equals(whole)).toBe(true);
  reader.close();
});

const RETRIEVED = ['RETR 1', `RETR ${PLAIN}`, 'TOP 2 5', 'RETR 3', `RETR ${LARGE}`, 'TOP 4 999999', 'RETR 5'];

async function pop3(): Promise<Conversation> {
  return await Conversation.loginTls(system.pop3Port, system.pki.ca.certificate, system.user('bob'));
}

/** Answers to commands sent at once; null: not for now. */
async function retrieved(session: Conversation): Promise<(string | null)[]> {
  session.send(`${RETRIEVED.join('\r\n')}\r\n`);
  const answers: (string | null)[] = [];
  for (const command of RETRIEVED) {
    const status = await session.line();
    if (status.startsWith('+OK')) answers.push(sha256(await session.stuffed()));
    else if (status.startsWith('-ERR [SYS/TEMP] ')) answers.push(null);
    else throw new Error(`${command}: ${status}`);
  }
  return answers;
}

test('34: the key process is killed while POP3 and IMAP read at once: the same, and what was refused comes then', async () => {
  const whole = await said(MANY);
  const session = await pop3();
  const messages = await retrieved(session);
  session.close();
  expect(messages).not.toContain(null);
  let refused = 0;
  for (const at of ['command', 'inside-request', 'octets'] as const) {
    const moment = momentOf(at, SMALL, 500_000);
    const session = await pop3();
    const reader = await client();
    killer.arm(moment, session.socket);
    const [answers, answer] = await Promise.all([retrieved(session), reader.command(MANY)]);
    const killed = killer.disarm();
    const wrong = RETRIEVED.filter((_, n) => answers[n] !== null && answers[n] !== messages[n]);
    expect([moment, killed, wrong, faults(answer, whole)]).toEqual([moment, true, [], []]);
    expect([moment, answers[1]]).toEqual([moment, messages[1]]);
    refused += answers.filter((each) => each === null).length + (answer.status === 'NO' ? 1 : 0);
    reader.close();
    let again = await retrieved(session);
    if (again.includes(null)) {
      expect([moment, answers]).toEqual([moment, messages]);
      again = await retrieved(session);
    }
    expect([moment, again]).toEqual([moment, messages]);
    expect(await session.ask('QUIT')).toMatch(/^\+OK/);
  }
  expect(refused).toBeGreaterThan(0);
});

test('34: where the session is to end instead, it ends with BYE and no half of anything; after a restart all is as it was', async () => {
  const whole = await said(MANY);
  const large = await said(ONE_LARGE);
  await system.gateway.close();
  const settings = parse(await readFile(system.configFile, 'utf8'));
  settings.imap[0].keyAway = 'disconnect';
  const file = join(system.folder, 'disconnect.yaml');
  await writeFile(file, stringify(settings), { mode: 0o600 });
  const loaded = await loadConfig(file);
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  restarted = await startGateway(loaded.config, { write: () => undefined });
  const port = restarted.port('imaps');
  for (const nth of [1, 4]) {
    const reader = await client(port);
    killer.arm({ at: 'inside-request', nth }, reader.socket);
    reader.send(MANY);
    const responses = await reader.rest();
    expect([nth, killer.disarm(), reader.unfinished.length]).toEqual([nth, true, 0]);
    expect(responses.at(-1)?.text).toMatch(/^BYE \[UNAVAILABLE\] /);
    const seen = saidIn(responses);
    expect(seen.length).toBeLessThan(whole.length);
    for (const one of seen) expect(whole).toContainEqual(one);
    expect(await said(MANY, port)).toEqual(whole);
  }
  expect(await said(ONE_LARGE, port)).toEqual(large);
});
