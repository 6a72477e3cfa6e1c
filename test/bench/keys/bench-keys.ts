import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { KeyClient } from '../../../src/hsm/client/key-client.ts';
import type { KeyDescription } from '../../../src/hsm/inventory.ts';
import type { SoftwareSource, TokenSource } from '../../../src/hsm/source-kinds.ts';
import { silentLog } from '../../../src/log/log.ts';
import { writePem } from '../../../src/pki/pem.ts';
import { makeCertificate } from '../../pki/make-certificate.ts';
import { services } from '../../support/services/services.ts';

/** Keys to measure with: in a SoftHSM2 token, and in files. Made anew for each run, in a folder of their own. */

/** As many as the configuration asks for when it says nothing. */
export const SESSIONS = 4;

export type BenchToken = {
  /** For a process of its own: what `TokenSource` says, and the PIN. */
  module: string;
  environment: Record<string, string>;
  tokenLabel: string;
  pin: string;
  source: TokenSource;
  remove(): Promise<void>;
};

/** A token with one RSA-2048 key that signs and decrypts. */
export async function benchToken(): Promise<BenchToken> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-keys-'));
  const pki = await services.pki();
  const token = await services.softhsm({ tokenLabel: 'bench' });
  const remove = async (): Promise<void> => {
    await token.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await token.generateKeys(pki, [{ address: 'load@sealgate.test', type: 'rsa-2048' }]);
    const pinFile = join(folder, 'pin');
    await writeFile(pinFile, token.pin, { mode: 0o600 });
    const { module, env, tokenLabel, pin } = token;
    const source: TokenSource = {
      kind: 'token',
      module,
      environment: env,
      token: { label: tokenLabel, serial: null, model: null, manufacturer: null, reader: null },
      objects: { object: null, id: null },
      pin: { file: pinFile },
      removable: false,
      sessions: SESSIONS,
      certificates: [],
    };
    return { module, environment: env, tokenLabel, pin, source, remove };
  } catch (error) {
    await remove();
    throw error;
  } finally {
    await pki.stop();
  }
}

export type BenchFile = { source: SoftwareSource; remove(): Promise<void> };

/** PEM for `pem`; `pkcs12` with the usual protection of OpenSSL. */
export async function benchFile(kind: 'rsa' | 'ec', format: 'pem' | 'pkcs12' = 'pem'): Promise<BenchFile> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-keys-'));
  const pair =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = makeCertificate({
    ...{
      subject: 'Load',
      key: pair,
      issuerKey: pair,
      scheme: kind === 'rsa' ? 'rsa-sha256' : 'ecdsa-sha256',
    },
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 86_400_000),
    extensions: [],
  });
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  await writeFile(key, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await writeFile(cert, writePem('CERTIFICATE', certificate.der));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  if (format === 'pem') return { source: { kind: 'pem', key, certificate: cert, passphrase: null }, remove };
  const [file, password] = [join(folder, 'key.p12'), join(folder, 'password')];
  await writeFile(password, 'for a benchmark\n', { mode: 0o600 });
  const out = ['-passout', `file:${password}`, '-out', file];
  await runProgram('openssl', ['pkcs12', '-export', '-inkey', key, '-in', cert, ...out]);
  return { source: { kind: 'pkcs12', file, password: { file: password } }, remove };
}

export type OpenedPlace = { client: KeyClient; key: KeyDescription };

/** @throws Error when the place does not open */
export async function openPlace(place: TokenSource | SoftwareSource): Promise<OpenedPlace> {
  const refusals = { has: () => false, add: () => undefined };
  const client = KeyClient.start({ source: 'bench', place, refusals, log: silentLog });
  await client.settled;
  const { state } = client;
  const key = state.kind === 'open' ? state.inventory.keys[0] : undefined;
  if (key === undefined) {
    await client.close();
    throw new Error(`the place is ${state.kind}`);
  }
  return { client, key };
}
