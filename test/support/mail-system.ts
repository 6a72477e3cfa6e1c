import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { createTransport, type SendMailOptions } from 'nodemailer';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import {
  type ReceivedMail,
  type SmtpUpstream,
  startSmtpUpstream,
} from '../../src/evaluation/smtp-upstream.ts';
import {
  createThrowawayPki,
  type KeyType,
  type ServerIdentity,
  type ThrowawayPki,
  type UserIdentity,
  type UserRequest,
} from '../../src/evaluation/throwaway-pki.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import type { Event } from '../../src/log/events.ts';

export type MailUser = { login: string; password: string; identity: UserIdentity };

export type MailSystemOptions = {
  /** Local parts at `@sealgate.test`; all have mailboxes and keys of their own. */
  users: readonly string[];
  /** Those who have no key in the gateway, so nothing is signed or decrypted for them. */
  withoutKeys?: readonly string[];
  /** Whose certificates an administrator has pinned. */
  pinned?: readonly string[];
  /** Rules as in gateway.yaml; default: sign require, encrypt if-possible. */
  rules?: readonly object[];
  /** Replaces the `keys` section, for tokens. */
  keys?: (system: {
    pki: ThrowawayPki;
    folder: string;
    users: ReadonlyMap<string, MailUser>;
  }) => Promise<object[]>;
  /** With `keys`: what principals name as their key; default: the user's name. */
  keyOf?: (name: string) => string;
  /** With `keys`: what principals name besides. */
  furtherKeys?: (name: string) => readonly string[];
  /** What their entry under `principals` says besides or instead. */
  principal?: (name: string) => Record<string, unknown>;
  /** What is otherwise about their certificate. */
  certificate?: (name: string) => Partial<UserRequest>;
  /** URL of the CRL that every certificate names. */
  crl?: string;
  /** The section `trust.revocation`. */
  revocation?: object;
  /** What the section `directory` says besides. */
  directory?: object;
  /** The section `smime`. */
  smime?: object;
  /** Mail that the gateway delivers by itself, from `gateway@sealgate.test`; what the section `queue` says besides. */
  queue?: object;
  /** Further sections. */
  sections?: object;
  /** The section `append`. */
  append?: object;
  /** The section `reading`. */
  reading?: object;
  /** What the submission listener says besides or instead. */
  submission?: object;
  /** What the IMAP listener says besides or instead. */
  imap?: object;
  /** What the POP3 listener says besides or instead. */
  pop3?: object;
  /** The key of all servers, the gateway included; default: P-256. */
  serverKey?: KeyType;
  /** Settings for Dovecot in its own words, behind all others. */
  dovecot?: string;
  /** How the configuration spells a login, where that is not as the servers know it. */
  spell?: (login: string) => string;
};

/** A whole mail system on real servers: PKI made by openssl, Dovecot, an SMTP upstream, and the gateway before them. */
export type MailSystem = {
  folder: string;
  pki: ThrowawayPki;
  server: ServerIdentity;
  dovecot: Dovecot;
  upstream: SmtpUpstream;
  gateway: Gateway;
  configFile: string;
  events: readonly Event[];
  submissionPort: number;
  imapPort: number;
  pop3Port: number;
  user(name: string): MailUser;
  /** Sends with nodemailer through the gateway; the upstream's reply. Rejects with the reply as the client sees it. */
  send(from: string, mail: SendMailOptions): Promise<string>;
  /** What INBOX shows through the gateway, oldest first. */
  read(user: string): Promise<Buffer[]>;
  /** The files of the mailbox, as Dovecot keeps them (LF line ends), oldest first. */
  stored(user: string): Promise<Buffer[]>;
  /** What INBOX shows without the gateway, oldest first. */
  readDirect(user: string): Promise<Buffer[]>;
  /** What the upstream took since the last call. */
  taken(): ReceivedMail[];
  stop(): Promise<void>;
};

export function addressOf(name: string): string {
  return `${name}@sealgate.test`;
}

export async function startMailSystem(options: MailSystemOptions): Promise<MailSystem> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-system-'));
  const undo: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const pki = await createThrowawayPki(join(folder, 'pki'));
    const server = await pki.issueServer(undefined, options.serverKey);
    const users = new Map<string, MailUser>();
    for (const name of options.users) {
      const identity = await pki.issueUser({
        ...{ address: addressOf(name), name, password: `p12-${name}` },
        ...(options.crl === undefined ? {} : { crl: options.crl }),
        ...options.certificate?.(name),
      });
      users.set(name, { login: addressOf(name), password: `pass-${name}`, identity });
    }
    const own = options.queue === undefined ? null : await ownQueue(pki, options.queue);
    const everybody = [...users.values(), ...(own === null ? [] : [own.user])];
    const dovecot = await startDovecot({
      ...{ users: everybody, tls: server },
      ...(options.dovecot === undefined ? {} : { further: options.dovecot }),
    });
    undo.push(() => dovecot.stop());
    const upstream = await startSmtpUpstream({ users: everybody, lmtpPort: dovecot.lmtpPort, tls: server });
    undo.push(() => upstream.stop());

    const configFile = join(folder, 'gateway.yaml');
    const secrets = join(folder, 'secrets');
    await mkdir(secrets, { mode: 0o700 });
    const withKeys = options.users.filter((name) => !options.withoutKeys?.includes(name));
    const toUpstream = {
      host: '127.0.0.1',
      serverName: 'localhost',
      tls: 'starttls',
      ca: pki.ca.certificateFile,
    };
    const user = (name: string): MailUser => {
      const found = users.get(name);
      if (found === undefined) throw new Error(`no user ${name} in this mail system`);
      return found;
    };
    const softwareKeys = async () =>
      Promise.all(
        withKeys.map(async (name) => {
          const file = join(secrets, `${name}.password`);
          await writeFile(file, user(name).identity.password, { mode: 0o600 });
          return { name, kind: 'pkcs12', file: user(name).identity.pkcs12File, password: { file } };
        }),
      );
    const settings = {
      hostname: 'gateway.sealgate.test',
      stateFolder: join(folder, 'state'),
      tls: { certificate: server.certFile, key: server.keyFile },
      submission: [
        {
          name: 'submission',
          host: '127.0.0.1',
          port: 0,
          tls: 'starttls',
          upstream: { ...toUpstream, port: upstream.port },
          ...options.submission,
        },
      ],
      imap: [
        {
          name: 'imaps',
          host: '127.0.0.1',
          port: 0,
          tls: 'implicit',
          upstream: { ...toUpstream, port: dovecot.imapPort },
          ...options.imap,
        },
      ],
      pop3: [
        {
          name: 'pop3s',
          host: '127.0.0.1',
          port: 0,
          tls: 'implicit',
          upstream: { ...toUpstream, port: dovecot.pop3Port },
          ...options.pop3,
        },
      ],
      keys: [
        ...(await (options.keys?.({ pki, folder: secrets, users }) ?? softwareKeys())),
        ...(own === null ? [] : [own.key]),
      ],
      principals: {
        list: options.users.map((name) => ({
          login: options.spell?.(addressOf(name)) ?? addressOf(name),
          addresses: [addressOf(name)],
          keys: withKeys.includes(name)
            ? [options.keyOf?.(name) ?? name, ...(options.furtherKeys?.(name) ?? [])]
            : [],
          ...options.principal?.(name),
        })),
      },
      trust: { anchors: [pki.ca.certificateFile], revocation: options.revocation ?? {} },
      directory: {
        pinned: (options.pinned ?? []).map((name) => user(name).identity.certificateFile),
        ...options.directory,
      },
      policy: { rules: options.rules ?? [{ name: 'all', sign: 'require', encrypt: 'if-possible' }] },
      smime: options.smime ?? {},
      ...(own === null ? {} : { queue: await own.section(secrets, { ...toUpstream, port: upstream.port }) }),
      ...options.sections,
      append: options.append ?? {},
      reading: options.reading ?? {},
    };
    await writeFile(configFile, stringify(settings), { mode: 0o600 });
    const loaded = await loadConfig(configFile);
    if (loaded.kind === 'invalid') throw new Error(loaded.problems.map(formatProblem).join('\n'));
    const events: Event[] = [];
    const gateway = await startGateway(loaded.config, { write: (event) => events.push(event) });
    undo.push(() => gateway.close());
    const submissionPort = gateway.port('submission');
    const imapPort = gateway.port('imaps');
    const pop3Port = gateway.port('pop3s');

    let alreadyTaken = 0;
    return {
      folder,
      pki,
      server,
      dovecot,
      upstream,
      gateway,
      configFile,
      events,
      submissionPort,
      imapPort,
      pop3Port,
      user,
      async send(from, mail) {
        const client = createTransport({
          host: 'localhost',
          port: submissionPort,
          requireTLS: true,
          tls: { ca: pki.ca.certificate },
          auth: { user: user(from).login, pass: user(from).password },
        });
        try {
          return (await client.sendMail({ from: addressOf(from), ...mail })).response;
        } finally {
          client.close();
        }
      },
      read: (name) => readInbox({ port: imapPort, secure: true }, user(name), pki.ca.certificate),
      readDirect: (name) =>
        readInbox({ port: dovecot.imapPort, secure: false }, user(name), pki.ca.certificate),
      stored: (name) => storedMails(dovecot.mailFolder(user(name).login)),
      taken() {
        const fresh = upstream.received.slice(alreadyTaken);
        alreadyTaken = upstream.received.length;
        return fresh;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The gateway's own key, login and section. */
async function ownQueue(pki: ThrowawayPki, besides: object) {
  const identity = await pki.issueUser({ address: addressOf('gateway') });
  const { certificateFile: certificate, keyFile: key } = identity;
  const user: MailUser = { login: addressOf('gateway'), password: 'pass-gateway', identity };
  return {
    user,
    key: { name: 'gateway', kind: 'pem', certificate, key },
    async section(secrets: string, server: object) {
      const file = join(secrets, 'queue.password');
      await writeFile(file, user.password, { mode: 0o600 });
      return {
        ...{ key: 'gateway', address: addressOf('gateway') },
        server: { ...server, login: user.login, password: { file } },
        ...besides,
      };
    },
  };
}

/** What INBOX shows by IMAP, oldest first. */
export async function readInbox(
  server: { port: number; secure: boolean },
  user: MailUser,
  ca: string,
): Promise<Buffer[]> {
  const client = new ImapFlow({
    host: 'localhost',
    ...server,
    tls: { ca },
    auth: { user: user.login, pass: user.password },
    logger: false,
  });
  await client.connect();
  try {
    const lock = await client.getMailboxLock('INBOX', { readOnly: true });
    try {
      const mails: Buffer[] = [];
      for await (const { source } of client.fetch('1:*', { source: true })) {
        if (source === undefined) throw new Error('a message without source');
        mails.push(source);
      }
      return mails;
    } finally {
      lock.release();
    }
  } finally {
    await client.logout();
  }
}

/** In the order of arrival. */
async function storedMails(mailFolder: string): Promise<Buffer[]> {
  const files: { name: string; path: string }[] = [];
  for (const folder of ['new', 'cur']) {
    for (const name of await readdir(join(mailFolder, folder)))
      files.push({ name, path: join(mailFolder, folder, name) });
  }
  files.sort((a, b) => deliveredAt(a.name) - deliveredAt(b.name));
  return Promise.all(files.map(({ path }) => readFile(path)));
}

/** Microseconds; Maildir names are `seconds.Mmicroseconds…`, the latter without zeros in front. */
function deliveredAt(name: string): number {
  const [, seconds, microseconds] = /^(\d+)\.M(\d+)/.exec(name) ?? [];
  return Number(seconds) * 1_000_000 + Number(microseconds);
}

/** What OpenSSL says of a message: decrypts with the user's key, verifies with the CA; the signed content. */
export async function opensslOpen(system: MailSystem, octets: Buffer, as: string): Promise<Buffer> {
  const { identity } = system.user(as);
  const key = ['-recip', identity.certificateFile, '-inkey', identity.keyFile];
  const opened = await runProgram('openssl', ['cms', '-decrypt', ...key], { input: octets });
  return opensslVerify(system, opened.stdout);
}

/** Throws unless OpenSSL finds the signature good and its certificate issued by the system's CA. */
export async function opensslVerify(system: MailSystem, octets: Buffer): Promise<Buffer> {
  const verified = await runProgram('openssl', ['cms', '-verify', '-CAfile', system.pki.ca.certificateFile], {
    input: octets,
  });
  return verified.stdout;
}
