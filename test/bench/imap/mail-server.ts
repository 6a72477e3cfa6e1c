import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Dovecot, startDovecot } from '../../../src/evaluation/dovecot.ts';
import {
  createThrowawayPki,
  type ServerIdentity,
  type ThrowawayPki,
  type UserIdentity,
} from '../../../src/evaluation/throwaway-pki.ts';
import { startClient } from './client.ts';
import type { Server } from './client-connection.ts';
import { READER } from './messages.ts';

/** The real mail server that all contenders of a benchmark have behind them. */
export type MailServer = {
  folder: string;
  pki: ThrowawayPki;
  server: ServerIdentity;
  /** Whose mail is read; has a key. */
  reader: UserIdentity;
  dovecot: Dovecot;
};

export const LOGIN = { login: READER, password: 'bench' };

/** Mailboxes as they are wanted, before anybody connects. */
export type Prepare = (parts: { maildir: string; reader: UserIdentity }) => Promise<void>;

/** Started by the first contender that takes it, ended by the last that leaves. */
export type SharedMailServer = { take(): Promise<MailServer>; leave(): Promise<void> };

/**
 * `warm`: commands that fill Dovecot's own cache, so that no contender pays for it.
 */
export function sharedMailServer(prepare: Prepare, warm: { mailbox: string; commands: readonly string[] }) {
  let running: Promise<MailServer> | null = null;
  let users = 0;
  const shared: SharedMailServer = {
    take() {
      users++;
      running ??= start(prepare, warm);
      return running;
    },
    async leave() {
      users--;
      if (users > 0 || running === null) return;
      const { dovecot, folder } = await running;
      running = null;
      await dovecot.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return shared;
}

/** For a thousand connections at a time, all of one user. */
const SETTINGS = `
mail_max_userip_connections = 10000
default_client_limit = 10000
default_process_limit = 3000
default_vsz_limit = 1024M
mail_log_prefix = "%s: "
service imap-login {
  process_min_avail = 1
  process_limit = 4
  client_limit = 10000
}
service imap {
  process_limit = 3000
}
service anvil {
  client_limit = 20000
}
service auth {
  client_limit = 20000
}
`;

async function start(
  prepare: Prepare,
  warm: { mailbox: string; commands: readonly string[] },
): Promise<MailServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-imap-'));
  try {
    const pki = await createThrowawayPki(join(folder, 'pki'));
    const server = await pki.issueServer();
    const reader = await pki.issueUser({ address: READER });
    const dovecot = await startDovecot({ users: [LOGIN], tls: server, further: SETTINGS });
    const mailServer = { folder, pki, server, reader, dovecot };
    try {
      await prepare({ maildir: dovecot.mailFolder(READER), reader });
      await warmUp(direct(mailServer), warm);
    } catch (error) {
      await dovecot.stop();
      throw error;
    }
    return mailServer;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function warmUp(
  server: Server,
  { mailbox, commands }: { mailbox: string; commands: readonly string[] },
) {
  const client = startClient();
  try {
    await client.perform({ do: 'open', server, login: LOGIN, mailbox, connections: 1, octetsASecond: null });
    await client.perform({ do: 'commands', commands });
  } finally {
    await client.stop();
  }
}

/** Dovecot itself, with TLS. */
export function direct({ dovecot, pki }: MailServer): Server {
  return { port: dovecot.imapsPort ?? dovecot.imapPort, tls: trusting(pki) };
}

export function trusting(pki: ThrowawayPki): { servername: string; ca: string } {
  return { servername: 'localhost', ca: pki.ca.certificate };
}
