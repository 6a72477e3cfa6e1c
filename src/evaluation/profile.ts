import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Dovecot, startDovecot } from './dovecot.ts';
import { portOr } from './free-port.ts';
import { type SmtpUpstream, startSmtpUpstream } from './smtp-upstream.ts';
import {
  createThrowawayPki,
  type ServerIdentity,
  type ThrowawayPki,
  type UserIdentity,
} from './throwaway-pki.ts';

export type EvaluationUser = { login: string; password: string; identity: UserIdentity };

/**
 * Everything around the gateway: throwaway keys, a mail server, and the configuration file that puts the gateway before it.
 * Nothing outlives `stop()`.
 */
export type EvaluationProfile = {
  readonly folder: string;
  readonly configFile: string;
  readonly pki: ThrowawayPki;
  readonly server: ServerIdentity;
  readonly dovecot: Dovecot;
  readonly upstream: SmtpUpstream;
  readonly alice: EvaluationUser;
  readonly bob: EvaluationUser;
  stop(): Promise<void>;
};

/** Easy to type; where they are busy, others are taken. */
const SUBMISSION_PORT = 1587;
const IMAPS_PORT = 1993;
const POP3S_PORT = 1995;

/**
 * Starts the servers and writes the configuration. Logins are mail addresses, as at most providers.
 *
 * @throws SealgateError of the parts: a program that is missing, a server that does not start.
 */
export async function startEvaluationProfile(): Promise<EvaluationProfile> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-evaluation-'));
  const undo: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const pki = await createThrowawayPki(join(folder, 'pki'));
    const [server, alice, bob] = await Promise.all([
      pki.issueServer(),
      user(pki, 'alice@sealgate.test', 'Alice'),
      user(pki, 'bob@sealgate.test', 'Bob'),
    ]);
    const users = [alice, bob];
    const dovecot = await startDovecot({ users, tls: server });
    undo.push(() => dovecot.stop());
    const upstream = await startSmtpUpstream({ users, lmtpPort: dovecot.lmtpPort, tls: server });
    undo.push(() => upstream.stop());
    const configFile = join(folder, 'gateway.yaml');
    const settings = await configuration({ folder, pki, server, dovecot, upstream, alice, bob });
    await writeFile(configFile, stringify(settings), { mode: 0o600 });
    return { folder, configFile, pki, server, dovecot, upstream, alice, bob, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function user(pki: ThrowawayPki, address: string, name: string): Promise<EvaluationUser> {
  const secret = () => randomBytes(6).toString('hex');
  const identity = await pki.issueUser({ address, name, password: secret() });
  return { login: address, password: secret(), identity };
}

/** The same file an administrator would write; see config/gateway.example.yaml. */
async function configuration(parts: Omit<EvaluationProfile, 'configFile' | 'stop'>): Promise<object> {
  const { folder, pki, server, dovecot, upstream, alice, bob } = parts;
  const secrets = join(folder, 'secrets');
  await mkdir(secrets, { mode: 0o700 });
  const keys = await Promise.all(
    [alice, bob].map(async ({ login, identity }) => {
      const name = login.slice(0, login.indexOf('@'));
      const file = join(secrets, `${name}.password`);
      await writeFile(file, identity.password, { mode: 0o600 });
      return { name, kind: 'pkcs12', file: identity.pkcs12File, password: { file } };
    }),
  );
  const toUpstream = {
    host: '127.0.0.1',
    serverName: 'localhost',
    tls: 'starttls',
    ca: pki.ca.certificateFile,
  };
  return {
    hostname: 'gateway.sealgate.test',
    stateFolder: join(folder, 'state'),
    tls: { certificate: server.certFile, key: server.keyFile },
    submission: [
      {
        name: 'submission',
        host: '127.0.0.1',
        port: await portOr(SUBMISSION_PORT),
        tls: 'starttls',
        upstream: { ...toUpstream, port: upstream.port },
      },
    ],
    imap: [
      {
        name: 'imaps',
        host: '127.0.0.1',
        port: await portOr(IMAPS_PORT),
        tls: 'implicit',
        upstream: { ...toUpstream, port: dovecot.imapPort },
      },
    ],
    pop3: [
      {
        name: 'pop3s',
        host: '127.0.0.1',
        port: await portOr(POP3S_PORT),
        tls: 'implicit',
        upstream: { ...toUpstream, port: dovecot.pop3Port },
      },
    ],
    keys,
    principals: {
      list: [
        { login: alice.login, addresses: [alice.login], keys: ['alice'] },
        { login: bob.login, addresses: [bob.login], keys: ['bob'] },
      ],
    },
    trust: { anchors: [pki.ca.certificateFile] },
    directory: { pinned: [bob.identity.certificateFile] },
    policy: { rules: [{ name: 'evaluation', sign: 'require', encrypt: 'if-possible' }] },
    log: { level: 'warn' },
  };
}
