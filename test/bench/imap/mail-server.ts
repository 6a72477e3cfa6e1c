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
import { writeMailbox } from './mailbox.ts';
import { READER } from './messages.ts';
import { LIST_ITEMS } from './thunderbird.ts';

/** The real mail server that all contenders of a benchmark have behind them. */
export type MailServer = {
  folder: string;
  pki: ThrowawayPki;
  server: ServerIdentity;
  /** Whose mail is read; has a key. */
  reader: UserIdentity;
  dovecot: Dovecot;
  /** Has the mailbox written unless it was before, and lists it once, so that no contender pays for Dovecot's own cache. */
  mailbox(name: string, write: WriteMessages): Promise<void>;
};

export const LOGIN = { login: READER, password: 'bench' };

/** The messages of a mailbox. */
export type WriteMessages = (reader: UserIdentity) => Iterable<Buffer> | AsyncIterable<Buffer>;

/** Started by the first contender that takes it, ended by the last that leaves. */
export type SharedMailServer = { take(): Promise<MailServer>; leave(): Promise<void> };

export function sharedMailServer(): SharedMailServer {
  let running: Promise<MailServer> | null = null;
  let users = 0;
  return {
    take() {
      users++;
      running ??= start();
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

async function start(): Promise<MailServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-imap-'));
  try {
    const pki = await createThrowawayPki(join(folder, 'pki'));
    const server = await pki.issueServer();
    const reader = await pki.issueUser({ address: READER });
    const dovecot = await startDovecot({ users: [LOGIN], tls: server, further: SETTINGS });
    const written = new Map<string, Promise<void>>();
    const parts = { folder, pki, server, reader, dovecot };
    const make = async (name: string, write: WriteMessages): Promise<void> => {
      await writeMailbox(dovecot.mailFolder(READER), name, write(reader));
      await list(direct(parts), name);
    };
    return {
      ...parts,
      mailbox(name, write) {
        const known = written.get(name) ?? make(name, write);
        written.set(name, known);
        return known;
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function list(server: Server, mailbox: string): Promise<void> {
  const client = startClient();
  try {
    await client.perform({ do: 'open', server, login: LOGIN, mailbox, connections: 1, octetsASecond: null });
    await client.perform({ do: 'commands', commands: [`UID FETCH 1:* ${LIST_ITEMS}`] });
  } finally {
    await client.stop();
  }
}

/** Dovecot itself, with TLS. */
export function direct({ dovecot, pki }: Pick<MailServer, 'dovecot' | 'pki'>): Server {
  return { port: dovecot.imapsPort ?? dovecot.imapPort, tls: trusting(pki) };
}

export function trusting(pki: ThrowawayPki): { servername: string; ca: string } {
  return { servername: 'localhost', ca: pki.ca.certificate };
}
