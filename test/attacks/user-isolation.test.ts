import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { literalAfter } from '../imap-proxy/support/imap-conversation.ts';
import { TestClient } from '../smtp-in/support/client.ts';
import { addressOf, type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';
import { plant, shownOf, strangerAt, through } from './support/mailbox.ts';
import { encrypted, mailOf, signed, textEntity } from './support/openssl-mail.ts';

/** One user's keys work for that user's own, just proven login, and for no other spelling, mailbox or trick. */

let system: MailSystem;
const ALICE = addressOf('alice');
const BOB = addressOf('bob');
const SECRET = 'The boathouse key is under the third stone.';
const HEADER = [`From: ${ALICE}`, `To: ${ALICE}`, 'Subject: note to self'];
let toAlice: Buffer;

beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob'],
    pinned: ['alice', 'bob'],
    // As an operator might write it; the servers know alice@sealgate.test.
    spell: (login) => login.replace('sealgate.test', 'SEALGATE.Test'),
  });
  const inner = await signed(textEntity(SECRET), system.user('alice').identity);
  toAlice = mailOf(HEADER, await encrypted(inner, [system.user('alice').identity]));
});
afterAll(() => system?.stop());

describe('the configuration spells the domain of a login in capitals', () => {
  it('alice signs, and reads what is encrypted to her, all the same', async () => {
    const sent = await system.send('alice', { to: BOB, subject: 's', text: 'hello' });
    expect(sent).toMatch(/^250/);
    expect((await shownOf(system, 'alice', toAlice)).octets).toContain(SECRET);
  });
});

describe('alice’s encrypted mail in bob’s mailbox', () => {
  it('stays encrypted for him, whatever he asks, also right after alice has read hers', async () => {
    await shownOf(system, 'alice', toAlice);
    const uid = await plant(system, 'bob', toAlice);
    const client = await through(system, 'bob');
    await client.command('SELECT INBOX');
    for (const item of [
      'BODY.PEEK[]',
      'RFC822',
      'BODY.PEEK[]<0.2000>',
      'BODY.PEEK[]<300.400>',
      'BODY.PEEK[TEXT]',
      'BODY.PEEK[1]',
      'BODY.PEEK[1.1]',
      'BODY.PEEK[2]',
      'BODYSTRUCTURE',
      'BODY.PEEK[HEADER]',
    ]) {
      expect(await client.command(`UID FETCH ${uid} (${item})`)).not.toMatch(/boathouse|third stone/);
    }
    const shown = literalAfter(await client.command(`UID FETCH ${uid} (BODY.PEEK[])`), 'BODY[]');
    expect(shown).toContain('none of your keys fits');
    expect(shown).toContain('view=no-key');
    client.close();
  });

  it('and the other way round in one connection’s worth of pipelining', async () => {
    const own = await plant(system, 'alice', toAlice);
    const foreign = await plant(system, 'bob', toAlice);
    const [alice, bob] = [await through(system, 'alice'), await through(system, 'bob')];
    await Promise.all([alice.command('EXAMINE INBOX'), bob.command('EXAMINE INBOX')]);
    const rounds = Array.from({ length: 10 }, async () => {
      alice.send(`x${own} NOOP\r\n`);
    });
    await Promise.all(rounds);
    const [hers, his] = await Promise.all([
      alice.command(`UID FETCH ${own} (BODY.PEEK[])`),
      bob.command(`UID FETCH ${foreign} (BODY.PEEK[])`),
    ]);
    expect(hers).toContain(SECRET);
    expect(his).not.toContain(SECRET);
    alice.close();
    bob.close();
  });
});

/** Spellings of alice's login that some server could take for hers, or for somebody's. */
const VARIANTS = [
  'ALICE@sealgate.test',
  'Alice@Sealgate.Test',
  'alice@SEALGATE.TEST',
  'alice@sealgate.test ',
  ' alice@sealgate.test',
  'alice@sealgate.test\t',
  'alice@sealgate.test.',
  'alice',
  'alice+x@sealgate.test',
  'alice@sealgate.test*master',
  'bob@sealgate.test*alice@sealgate.test',
  'alice@sealgate.test*bob@sealgate.test',
  'alice@sealgate.test%bob',
  'alice@sealgate.test\u0000x',
  'alice@sealgate.test\u200b',
  'alice@\u017fealgate.test',
  '\uff41lice@sealgate.test',
  'a\u0301lice@sealgate.test',
  '<alice@sealgate.test>',
  '"alice"@sealgate.test',
];

describe('spellings of a login, with bob’s password', () => {
  const { password } = { password: 'pass-bob' };
  const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

  it.each(VARIANTS)('IMAP LOGIN and PLAIN as %j open nothing of alice’s', async (login) => {
    const octets = Buffer.from(login, 'utf8');
    const attempts = [
      `AUTHENTICATE PLAIN ${base64(`\0${login}\0${password}`)}`,
      `AUTHENTICATE PLAIN ${base64(`${ALICE}\0${login}\0${password}`)}`,
      `AUTHENTICATE PLAIN ${base64(`${login}\0${BOB}\0${password}`)}`,
      `AUTHENTICATE PLAIN ${base64(`${ALICE}\0${BOB}\0${password}`)}`,
      `LOGIN {${octets.length}+}\r\n${octets.toString('latin1')} ${password}`,
    ];
    for (const attempt of attempts) {
      const client = await strangerAt(system);
      expect([attempt, await client.command(attempt)]).toEqual([
        attempt,
        expect.stringMatching(/(?:^|\r\n)c1 (?:NO|BAD) [^\r\n]*\r\n$/),
      ]);
      client.close();
    }
  });

  it.each(VARIANTS)('SMTP AUTH as %j sends nothing in alice’s name', async (login) => {
    for (const attempt of [
      `AUTH PLAIN ${base64(`\0${login}\0${password}`)}`,
      `AUTH PLAIN ${base64(`${ALICE}\0${BOB}\0${password}`)}`,
      `AUTH PLAIN ${base64(`${login}\0${BOB}\0${password}`)}`,
    ]) {
      const client = await secured();
      expect(await client.ask(attempt)).toMatch(/^5/);
      client.end();
    }
  });
});

describe('spellings of a login, with its own password', () => {
  it.each(VARIANTS)('%j gets alice’s keys on both sides or on none', async (login) => {
    const imap = await strangerAt(system);
    const answer = await imap.command(
      `AUTHENTICATE PLAIN ${Buffer.from(`\0${login}\0pass-alice`).toString('base64')}`,
    );
    let reads: boolean | null = null;
    if (/c1 OK/.test(answer)) {
      const uid = await plant(system, 'alice', toAlice);
      await imap.command('EXAMINE INBOX');
      reads = (await imap.command(`UID FETCH ${uid} (BODY.PEEK[])`)).includes(SECRET);
    }
    imap.close();
    const smtp = await secured();
    const authenticated = await smtp.ask(
      `AUTH PLAIN ${Buffer.from(`\0${login}\0pass-alice`).toString('base64')}`,
    );
    let signs: boolean | null = null;
    if (authenticated?.startsWith('235') === true) signs = await sends(smtp, ALICE, BOB);
    smtp.end();
    if (reads !== null && signs !== null) expect(reads).toBe(signs);
    // Only case of the domain is no difference between logins.
    const hers = login.toLowerCase() === ALICE && login.startsWith('alice@');
    expect([reads ?? false, signs ?? false]).toEqual([hers, hers]);
  });
});

describe('From, for a login that is proven', () => {
  it.each([
    ['alice', `From: ${ALICE}`],
    ['alice with another case of the domain', 'From: alice@SEALGATE.TEST'],
    ['alice with another case of the local part', 'From: Alice@sealgate.test'],
    ['alice as the second author', `From: ${BOB}, ${ALICE}`],
    ['alice in a second field', `From: ${BOB}\r\nFrom: ${ALICE}`],
    ['alice behind a lone CR', `From: ${BOB}\r\nX: 1\rFrom: ${ALICE}`],
    ['alice as display name', `From: "${ALICE}" <${BOB}>`],
    ['alice as Sender', `From: ${BOB}\r\nSender: ${ALICE}`],
    ['alice as Resent-From', `Resent-From: ${ALICE}\r\nFrom: ${ALICE}`],
  ])('bob does not send as %s', async (_, from) => {
    system.taken();
    const client = await secured();
    expect(await client.ask(`AUTH PLAIN ${Buffer.from(`\0${BOB}\0pass-bob`).toString('base64')}`)).toMatch(
      /^235/,
    );
    await client.ask(`MAIL FROM:<${BOB}>`);
    await client.ask(`RCPT TO:<${ALICE}>`);
    const go = await client.ask('DATA');
    const verdict =
      go?.startsWith('354') === true ? await client.ask(`${from}\r\nSubject: x\r\n\r\nx\r\n.`) : go;
    client.end();
    if (verdict?.startsWith('250') === true) {
      // Taken: then it is bob's mail, signed by bob, and by nobody else.
      const [mail] = system.taken();
      const text = mail?.octets.toString('latin1') ?? '';
      expect(text).not.toMatch(new RegExp(`^From: .*<?${ALICE}>?\\s*$`, 'im'));
      expect(text).toMatch(new RegExp(`^From: .*${BOB}`, 'm'));
    } else expect(verdict).toMatch(/^5\d\d 5\./);
  });

  it('MAIL FROM somebody else is the upstream’s to judge, and signs nothing for him', async () => {
    const client = await secured();
    await client.ask(`AUTH PLAIN ${Buffer.from(`\0${BOB}\0pass-bob`).toString('base64')}`);
    await client.ask(`MAIL FROM:<${ALICE}>`);
    await client.ask(`RCPT TO:<${ALICE}>`);
    await client.ask('DATA');
    expect(await client.ask(`From: ${ALICE}\r\nSubject: x\r\n\r\nx\r\n.`)).toMatch(/^550 5\.7\.1/);
    client.end();
  });
});

/** A submission client behind STARTTLS. */
async function secured(): Promise<TestClient> {
  const client = await TestClient.open(system.submissionPort);
  await client.ask('EHLO client.test');
  await client.ask('STARTTLS');
  await client.secure(system.pki.ca.certificate);
  await client.ask('EHLO client.test');
  return client;
}

/** Whether a mail from `from` is taken; what left must be signed. */
async function sends(client: TestClient, from: string, to: string): Promise<boolean> {
  system.taken();
  await client.ask(`MAIL FROM:<${from}>`);
  await client.ask(`RCPT TO:<${to}>`);
  await client.ask('DATA');
  const verdict = await client.ask(`From: ${from}\r\nTo: ${to}\r\nSubject: x\r\n\r\nx\r\n.`);
  const taken = system.taken();
  if (verdict?.startsWith('250') !== true) {
    expect(taken).toEqual([]);
    return false;
  }
  const [mail] = taken;
  await opensslOpen(system, mail?.octets ?? Buffer.alloc(0), 'bob');
  return true;
}
