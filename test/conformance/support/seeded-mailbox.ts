import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { UserIdentity } from '../../../src/evaluation/throwaway-pki.ts';
import {
  addressOf,
  type MailSystem,
  type MailSystemOptions,
  startMailSystem,
} from '../../support/mail-system.ts';
import { ImapClient } from './imap-client.ts';
import { type ClassMessage, type ClassPeople, messageClasses } from './message-classes.ts';

export type Seeded = ClassMessage & { uid: number };

/** Dovecot and the gateway before it, and in bob's INBOX a message of every class, in the order of their UIDs. */
export type SeededMailbox = {
  system: MailSystem;
  people: ClassPeople;
  messages: readonly Seeded[];
  message(name: string): Seeded;
  /** A client that is logged in as bob, at the gateway. */
  through(mailbox?: string): Promise<ImapClient>;
  /** The same past the gateway. */
  direct(mailbox?: string): Promise<ImapClient>;
  /** SHA-256 of every file in the mailbox, sorted. */
  originals(): Promise<string[]>;
  /** How often keys were used so far. */
  keyUses(): number;
  stop(): Promise<void>;
};

/** @param options of the mail system, for what a case needs besides. */
export async function seededMailbox(options: Partial<MailSystemOptions> = {}): Promise<SeededMailbox> {
  let elliptic: UserIdentity | null = null;
  const system = await startMailSystem({
    users: ['alice', 'bob', 'carol'],
    withoutKeys: ['carol'],
    async keys({ pki, users }) {
      elliptic = await pki.issueUser({ address: addressOf('bob'), keyType: 'p-256' });
      const file = (name: string, { certificateFile, keyFile }: UserIdentity): object => ({
        ...{ name, kind: 'pem', certificate: certificateFile, key: keyFile },
      });
      const named = ['alice', 'bob'].flatMap((name) => {
        const user = users.get(name);
        return user === undefined ? [] : [file(name, user.identity)];
      });
      return [...named, file('bob-elliptic', elliptic)];
    },
    furtherKeys: (name) => (name === 'bob' ? ['bob-elliptic'] : []),
    ...options,
  });
  try {
    const identity = (name: string): UserIdentity => system.user(name).identity;
    const people: ClassPeople = {
      alice: identity('alice'),
      bob: identity('bob'),
      bobElliptic: elliptic ?? identity('bob'),
      stranger: identity('carol'),
    };
    const made = await messageClasses(people);
    const client = await loggedIn(system.dovecot.imapPort, system, 'bob');
    const messages: Seeded[] = [];
    for (const message of made)
      messages.push({ ...message, uid: await client.append('INBOX', message.octets) });
    client.close();
    const open = async (port: number, mailbox: string | undefined, ca?: string): Promise<ImapClient> => {
      const opened = await loggedIn(port, system, 'bob', ca);
      if (mailbox !== undefined) await opened.ok(mailbox);
      return opened;
    };
    return {
      system,
      people,
      messages,
      message(name) {
        const found = messages.find((each) => each.name === name);
        if (found === undefined) throw new Error(`no message ${name}`);
        return found;
      },
      through: (mailbox) => open(system.imapPort, mailbox, system.pki.ca.certificate),
      direct: (mailbox) => open(system.dovecot.imapPort, mailbox),
      originals: () => digestsOf(system.dovecot.mailFolder(system.user('bob').login)),
      keyUses: () => system.events.filter(({ event }) => event === 'key.used').length,
      stop: () => system.stop(),
    };
  } catch (error) {
    await system.stop();
    throw error;
  }
}

/** @param ca of the gateway; without it past the gateway. */
export async function loggedIn(
  port: number,
  system: MailSystem,
  name: string,
  ca?: string,
): Promise<ImapClient> {
  const client = await ImapClient.open(port, ca);
  const { login, password } = system.user(name);
  await client.login(login, password);
  return client;
}

/** SHA-256 of every file of a Maildir, whatever its flags, sorted. */
export async function digestsOf(maildir: string): Promise<string[]> {
  const digests: string[] = [];
  for (const part of ['new', 'cur']) {
    for (const name of await readdir(join(maildir, part)))
      digests.push(sha256(await readFile(join(maildir, part, name))));
  }
  return digests.sort();
}

export function sha256(octets: Buffer): string {
  return createHash('sha256').update(octets).digest('hex');
}
