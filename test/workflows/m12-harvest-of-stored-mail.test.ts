import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { eventually } from '../support/eventually.ts';
import { addressOf, type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';
import { signedBy } from './support/from-elsewhere.ts';

/** M12: what a client puts into a mailbox (an archive that it moves, mail of another account) teaches certificates as read mail does. */

const ENTITY = 'Content-Type: text/plain\r\n\r\nhello alice\r\n';

describe('M12: a correspondent’s certificate is learned from mail that a client stores', () => {
  let system: MailSystem;
  let client: ImapConversation;

  beforeAll(async () => {
    system = await startMailSystem({
      ...{ users: ['alice', 'bob', 'carol'], withoutKeys: ['carol'] },
      rules: [{ name: 'all', sign: 'if-possible', encrypt: 'if-possible' }],
      imap: { tls: 'none', allowPlaintext: true },
    });
    const { login, password } = system.user('alice');
    client = await ImapConversation.login(system.imapPort, login, password);
  });
  afterAll(async () => {
    client?.close();
    await system?.stop();
  });

  async function made(name: string, from: string, ...options: readonly string[]): Promise<string> {
    const secured = (await signedBy(system.user(name).identity, ENTITY, options)).toString('latin1');
    const header = `From: ${from}\r\nTo: ${addressOf('alice')}\r\nSubject: from elsewhere\r\n`;
    return `${header}${secured.replace(/\r?\n/g, '\r\n')}`;
  }

  async function sentTo(name: string): Promise<Buffer> {
    await system.send('alice', { to: addressOf(name), subject: 'answer', text: 'the boathouse key' });
    return system.taken().at(-1)?.octets ?? Buffer.alloc(0);
  }

  function learned(): string[] {
    return system.events.flatMap((event) => (event.event === 'directory.harvested' ? [event.address] : []));
  }

  it('before: her mail to bob is readable', async () => {
    expect((await sentTo('bob')).toString('latin1')).toContain('the boathouse key');
  });

  it('what carol’s client signs and submits itself teaches nothing', async () => {
    await system.send('carol', { to: addressOf('bob'), raw: await made('carol', addressOf('carol')) });
    expect(system.taken().at(-1)?.octets.toString('latin1')).toContain('multipart/signed');
    expect((await sentTo('carol')).toString('latin1')).toContain('the boathouse key');
  });

  it('a forged mail is stored, then one that bob has signed with OpenSSL: the next mail to bob is encrypted to him', async () => {
    const forged = await made('bob', addressOf('carol'));
    expect(await client.command(`APPEND INBOX {${forged.length}+}\r\n${forged}`)).toMatch(/ OK /);
    const octets = await made('bob', addressOf('bob'));
    expect(await client.command(`APPEND INBOX (\\Seen) {${octets.length}+}\r\n${octets}`)).toMatch(/ OK /);
    await eventually(() => expect(learned()).toEqual([addressOf('bob')]));
    const mail = await sentTo('bob');
    expect(mail.toString('latin1')).not.toContain('the boathouse key');
    expect((await opensslOpen(system, mail, 'bob')).toString()).toContain('the boathouse key');
    expect(system.events.filter(({ event }) => event === 'key.used')).not.toContainEqual(
      expect.objectContaining({ operation: 'decrypt' }),
    );
    // As it was sent.
    const stored = (await system.stored('alice')).map((each) =>
      each.toString('latin1').replace(/\r?\n/g, '\r\n'),
    );
    expect(stored).toContain(octets);
  });
});
