import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mbsync } from '../support/services/mbsync.ts';
import { type CardMailSystem, cardMailSystem } from './support/card-mail-system.ts';

/**
 * A card is taken out and put back in the middle of a session, with real mail clients, a real mail server and the real chain to the
 * card: OpenSC, pcscd, a virtual reader.
 */

describe('a card whose PIN the gateway has', () => {
  let system: CardMailSystem;
  beforeAll(async () => {
    system = await cardMailSystem('file', 'kept');
    await system.deliver('one', 'the first secret', true);
    await system.deliver('two', 'in the open', false);
    await system.deliver('three', 'the second secret', true);
  });
  afterAll(() => system?.stop());

  test('a reading session goes on without it, and reads again once it is back', async () => {
    const client = await system.imap();
    const before = await listing(client);
    expect(await source(client, 1)).toContain('the first secret');

    await system.card.remove();
    await system.isAway();
    expect(await listing(client)).toEqual(before);
    expect(await source(client, 2)).toContain('in the open');
    expect(await refusal(client, 3)).toMatch(
      /"UNAVAILABLE".*Key for 1 message not available: The card .*alice@sealgate\.test.* is not in the reader; insert it/,
    );

    await system.card.insert();
    await system.isThere();
    expect(await source(client, 3)).toContain('the second secret');
    expect(await listing(client)).toEqual(before);
    await client.logout();
  });

  test('what it has opened goes with it, and comes back with it, for a later session by one use of it', async () => {
    const words = async (client: ImapFlow): Promise<unknown> => client.search({ body: 'first secret' });
    const uses = (): number => system.events.filter(({ event }) => event === 'key.used').length;
    const client = await system.imap();
    expect(await source(client, 1)).toContain('the first secret');
    expect(await source(client, 3)).toContain('the second secret');
    expect(await words(client)).toEqual([1]);
    await system.card.remove();
    await system.isAway();
    expect(await refusal(client, 1)).toContain('UNAVAILABLE');
    expect(await words(client)).toEqual([]);
    const other = await system.imap();
    expect(await refusal(other, 1)).toContain('UNAVAILABLE');
    expect(await words(other)).toEqual([]);
    await client.logout();
    await other.logout();

    await system.card.insert();
    await system.isThere();
    const before = uses();
    const later = await system.imap();
    expect(await words(later)).toEqual([1]);
    expect(await source(later, 1)).toContain('the first secret');
    expect(await source(later, 3)).toContain('the second secret');
    expect(uses() - before).toBe(1);
    await later.logout();
  });

  test('a structure, too, is told once it is back, in the same session', async () => {
    const client = await system.imap();
    await system.card.remove();
    await system.isAway();
    await expect(client.fetchOne('3', { bodyStructure: true })).rejects.toThrow();
    await system.card.insert();
    await system.isThere();
    const message = await client.fetchOne('3', { bodyStructure: true });
    expect(!message ? null : message.bodyStructure?.type).toBe('multipart/mixed');
    await client.logout();
  });

  test('Python’s imaplib sees the same in one session: NO, then the mail', async () => {
    const script = `
import imaplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
client = imaplib.IMAP4_SSL('localhost', int(sys.argv[1]), ssl_context=context)
client.login(sys.argv[3], sys.argv[4])
client.select('INBOX')
for line in sys.stdin:
    print(*client.uid('FETCH', '3', '(BODY.PEEK[])'), flush=True)
client.logout()
`;
    const { imapPort, caFile, address, password } = system;
    const python = spawn('python3', ['-c', script, String(imapPort), caFile, address, password]);
    const lines = createInterface(python.stdout)[Symbol.asyncIterator]();
    const fetched = async (): Promise<string> => {
      python.stdin.write('\n');
      return (await lines.next()).value ?? '';
    };
    const ended = once(python, 'exit');
    try {
      await system.card.remove();
      await system.isAway();
      expect(await fetched()).toMatch(/^NO .*Key for 1 message not available/);
      await system.card.insert();
      await system.isThere();
      expect(await fetched()).toMatch(/^OK .*the second secret/);
    } finally {
      python.stdin.end();
      await ended;
    }
  });

  test('mbsync, which takes a refusal for “gone”, takes every mail from a listener that disconnects instead', async () => {
    await using mirror = await mbsync({
      ...{ port: system.mirrorPort, login: system.address, password: system.password },
      ...{ tls: 'implicit', caFile: system.caFile, patterns: 'INBOX' },
    });
    await system.card.remove();
    await system.isAway();
    expect((await mirror.sync()).succeeded).toBe(false);
    await system.card.insert();
    await system.isThere();
    const { succeeded, transcript } = await mirror.sync();
    expect({ succeeded, transcript }).toMatchObject({ succeeded: true });
    expect(await mirrored(mirror.inbox)).toEqual(['in the open', 'the first secret', 'the second secret']);
  });

  test('a sending session is refused for now, leaves nothing unsigned, and sends once it is back', async () => {
    const client = system.smtp();
    const mail = (subject: string) => ({
      from: system.address,
      to: 'bob@sealgate.test',
      subject,
      text: subject,
    });
    await client.sendMail(mail('before'));
    const sent = system.received().length;
    expect(await system.verified(system.received().at(-1)?.octets ?? Buffer.alloc(0))).toContain('before');

    await system.card.remove();
    await system.isAway();
    await expect(client.sendMail(mail('while'))).rejects.toMatchObject({
      responseCode: 451,
      response: expect.stringMatching(/^451 4\.7\.5 The mail from alice@sealgate\.test could not be signed/),
    });
    expect(system.received()).toHaveLength(sent);

    await system.card.insert();
    await system.isThere();
    await client.sendMail(mail('after'));
    expect(await system.verified(system.received().at(-1)?.octets ?? Buffer.alloc(0))).toContain('after');
    expect(system.received()).toHaveLength(sent + 1);
    client.close();
  });
});

describe('a card whose PIN a person types', () => {
  let system: CardMailSystem;
  beforeAll(async () => {
    system = await cardMailSystem('person');
    await system.deliver('one', 'the first secret', true);
    await system.deliver('two', 'in the open', false);
  });
  afterAll(() => system?.stop());

  test('while it is asked for, other sessions go on; once it is typed, the mail is there, and until the card is taken out', async () => {
    const [reading, other] = [await system.imap(), await system.imap()];
    let isThere = false;
    const secret = source(reading, 1).finally(() => {
      isThere = true;
    });
    expect(await source(other, 2)).toContain('in the open');
    expect(await listing(other)).toHaveLength(2);
    expect(isThere).toBe(false);
    await system.type();
    expect(await secret).toContain('the first secret');
    await system.hesitate();
    const client = system.smtp();
    const mail = { from: system.address, to: 'bob@sealgate.test', subject: 'signed', text: 'signed' };
    await client.sendMail(mail);

    await system.card.remove();
    await system.isAway();
    await system.card.insert();
    await system.isThere();
    let isSent = false;
    const sent = client.sendMail(mail).finally(() => {
      isSent = true;
    });
    expect(await source(other, 2)).toContain('in the open');
    expect(isSent).toBe(false);
    await system.type();
    await sent;
    expect(await system.verified(system.received().at(-1)?.octets ?? Buffer.alloc(0))).toContain('signed');
    client.close();
    for (const each of [reading, other]) await each.logout();
  });
});

/** Which of the texts are in a Maildir, sorted. */
async function mirrored(folder: string): Promise<string[]> {
  const texts = ['in the open', 'the first secret', 'the second secret'];
  const mails: string[] = [];
  for (const sub of ['new', 'cur']) {
    for (const name of await readdir(join(folder, sub))) {
      mails.push(await readFile(join(folder, sub, name), 'utf8'));
    }
  }
  expect(mails.filter((mail) => texts.some((text) => mail.includes(text)))).toHaveLength(mails.length);
  return texts.filter((text) => mails.some((mail) => mail.includes(text)));
}

async function listing(client: ImapFlow): Promise<unknown[]> {
  const found: unknown[] = [];
  const items = { uid: true, flags: true, size: true, envelope: true, headers: ['content-type', 'subject'] };
  for await (const { uid, size, envelope, headers } of client.fetch('1:*', items)) {
    found.push({ uid, size, subject: envelope?.subject, headers: headers?.toString() });
  }
  return found;
}

async function source(client: ImapFlow, number: number): Promise<string> {
  const message = await client.fetchOne(String(number), { source: true });
  return !message ? '' : (message.source?.toString() ?? '');
}

/** What the client is told of a FETCH that is refused. */
async function refusal(client: ImapFlow, number: number): Promise<string> {
  try {
    await client.fetchOne(String(number), { source: true });
  } catch (error) {
    const { response } = error as { response?: { attributes?: readonly unknown[] } };
    return JSON.stringify(response?.attributes ?? error);
  }
  throw new Error('it was not refused');
}
