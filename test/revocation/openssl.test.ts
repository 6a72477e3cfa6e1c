import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/evaluation/free-port.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { readCertificates } from '../../src/pki/certificate-file.ts';
import { validatePath } from '../../src/pki/path.ts';
import { openRevocation, type RevocationSettings } from '../../src/revocation/open-revocation.ts';
import { requireCommand } from '../support/require-command.ts';
import { Loopback } from './support/loopback.ts';

/** A CA of `openssl ca` with its CRLs, and the responder of `openssl ocsp`. */

let folder: string;
let openssl: string;
let crls: Loopback;
let ocspPort: number;
let responder: ChildProcess | null = null;
const certificates = new Map<string, Certificate>();
const opened: { close(): Promise<void> }[] = [];

const at = (...path: string[]) => join(folder, ...path);
const named = (name: string): Certificate => {
  const certificate = certificates.get(name);
  if (certificate === undefined) throw new Error(`no certificate ${name}`);
  return certificate;
};

async function run(...args: string[]): Promise<Buffer> {
  return (await runProgram(openssl, args)).stdout;
}

async function issue(name: string, section: string): Promise<void> {
  await run(
    'req',
    '-new',
    '-config',
    at('ca.cnf'),
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    at(`${name}.key`),
    '-out',
    at(`${name}.csr`),
  );
  await run(
    'ca',
    '-batch',
    '-notext',
    '-config',
    at('ca.cnf'),
    '-extensions',
    section,
    '-in',
    at(`${name}.csr`),
    '-out',
    at(`${name}.crt`),
  );
  const [certificate] = readCertificates(await readFile(at(`${name}.crt`)));
  if (certificate !== undefined) certificates.set(name, certificate);
}

async function publishCrl(): Promise<void> {
  const pem = await run('ca', '-config', at('ca.cnf'), '-gencrl', '-crldays', '1');
  const { stdout } = await runProgram(openssl, ['crl', '-outform', 'DER'], { input: pem });
  crls.gives('/ca.crl', stdout);
}

beforeAll(async () => {
  openssl = await requireCommand('openssl');
  folder = await mkdtemp(join(tmpdir(), 'sealgate-ocsp-'));
  crls = await Loopback.start();
  ocspPort = await freePort();
  const lines = [
    ...['[ca]', 'default_ca = here', '[here]', `database = ${at('index.txt')}`, `serial = ${at('serial')}`],
    ...[`new_certs_dir = ${folder}`, `certificate = ${at('Root.crt')}`, `private_key = ${at('Root.key')}`],
    ...[
      'default_md = sha256',
      'default_days = 30',
      'policy = any',
      'unique_subject = no',
      'crl_extensions = crl',
    ],
    ...[
      `crlnumber = ${at('crlnumber')}`,
      '[crl]',
      'authorityKeyIdentifier = keyid',
      '[any]',
      'commonName = supplied',
    ],
    ...['[req]', 'distinguished_name = dn', '[dn]'],
    ...[
      '[root]',
      'basicConstraints = critical, CA:TRUE',
      'keyUsage = critical, keyCertSign, cRLSign, digitalSignature',
    ],
    ...['subjectKeyIdentifier = hash'],
    ...[
      '[user]',
      'basicConstraints = CA:FALSE',
      'keyUsage = critical, digitalSignature',
      'extendedKeyUsage = emailProtection',
    ],
    ...[`crlDistributionPoints = URI:${crls.url('/ca.crl')}`],
    ...[`authorityInfoAccess = OCSP;URI:http://127.0.0.1:${ocspPort}`],
    ...[
      '[responder]',
      'basicConstraints = CA:FALSE',
      'keyUsage = critical, digitalSignature',
      'extendedKeyUsage = OCSPSigning',
    ],
    ...['noCheck = ignored'],
    ...[
      '[checked]',
      'basicConstraints = CA:FALSE',
      'keyUsage = critical, digitalSignature',
      'extendedKeyUsage = OCSPSigning',
    ],
    ...[`crlDistributionPoints = URI:${crls.url('/ca.crl')}`],
  ];
  await writeFile(at('ca.cnf'), `${lines.join('\n')}\n`);
  await writeFile(at('index.txt'), '');
  await writeFile(at('serial'), '1000\n');
  await writeFile(at('crlnumber'), '01\n');
  await run(
    'req',
    '-x509',
    '-config',
    at('ca.cnf'),
    '-extensions',
    'root',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    '/CN=Root',
    '-days',
    '60',
    '-keyout',
    at('Root.key'),
    '-out',
    at('Root.crt'),
  );
  const [root] = readCertificates(await readFile(at('Root.crt')));
  if (root !== undefined) certificates.set('Root', root);
  for (const name of ['Good', 'Revoked']) await issue(name, 'user');
  await issue('Responder', 'responder');
  await issue('Checked', 'checked');
  await run('ca', '-config', at('ca.cnf'), '-revoke', at('Revoked.crt'), '-crl_reason', 'keyCompromise');
  await publishCrl();
});

afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
  if (responder !== null) {
    const gone = once(responder, 'exit');
    responder.kill();
    await gone;
    responder = null;
  }
});

afterAll(async () => {
  await crls.close();
  await rm(folder, { recursive: true });
});

/** @param by whose key signs the answers */
async function respond(by: string, ...further: string[]): Promise<void> {
  responder = spawn(
    openssl,
    [
      'ocsp',
      '-port',
      String(ocspPort),
      '-index',
      at('index.txt'),
      '-CA',
      at('Root.crt'),
      '-rsigner',
      at(`${by}.crt`),
      '-rkey',
      at(`${by}.key`),
      '-nmin',
      '10',
      ...further,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const { stderr } = responder;
  if (stderr === null) throw new Error('openssl ocsp has no standard error');
  let said = '';
  const ended = once(responder, 'exit').then(() => false);
  // Read to its end: what it has to say later must not block it.
  const listens = new Promise<boolean>((resolve) => {
    stderr.on('data', (part: Buffer) => {
      said += part.toString();
      if (said.includes('waiting for OCSP client connections')) resolve(true);
    });
  });
  if (!(await Promise.race([listens, ended]))) throw new Error(said);
}

async function statusOf(name: string, settings: Partial<RevocationSettings>, pool: Certificate[] = []) {
  const revocation = await openRevocation({
    settings: {
      ...{
        fetch: true,
        sources: 'ocsp',
        nonce: 'never',
        timeoutSeconds: 10,
        maxAgeHours: null,
        graceHours: 0,
      },
      ...{ allowAddresses: ['127.0.0.0/8'], allowPorts: [crls.port, ocspPort], cacheSize: 1024 * 1024 },
      ...settings,
    },
    ...{
      file: null,
      anchors: [named('Root')],
      intermediates: [],
      clock: () => new Date(),
      log: { write: () => undefined },
    },
  });
  opened.push(revocation);
  const now = new Date();
  const path = validatePath({
    certificate: named(name),
    pool,
    anchors: [named('Root')],
    at: now,
    purpose: 'email-protection',
  });
  if (path.outcome === 'invalid') throw new Error(path.problems[0]?.text);
  const report = await revocation.checker.check({ path: path.path, crls: [], pool, at: now });
  const own = report.certificates[0]?.revocation;
  if (own?.status === 'revoked') return `revoked by ${own.by}: ${own.reason}`;
  return own?.status === 'good'
    ? `good by ${own.by}`
    : (own?.problems.map(({ text }) => text).join(' ') ?? '');
}

describe('openssl ca -gencrl', () => {
  test('good and revoked', async () => {
    expect(await statusOf('Good', { sources: 'crl' })).toBe('good by crl');
    expect(await statusOf('Revoked', { sources: 'crl' })).toBe('revoked by crl: keyCompromise');
  });
});

describe('openssl ocsp', () => {
  test.each(['never', 'prefer', 'require'] as const)('signed by the issuer, nonce: %s', async (nonce) => {
    await respond('Root');
    expect(await statusOf('Good', { nonce })).toBe('good by ocsp');
    expect(await statusOf('Revoked', { nonce })).toBe('revoked by ocsp: keyCompromise');
  });

  test('signed by a delegated responder that need not be checked', async () => {
    await respond('Responder');
    expect(await statusOf('Good', {})).toBe('good by ocsp');
    expect(await statusOf('Revoked', {})).toBe('revoked by ocsp: keyCompromise');
  });

  test('named by its key, without certificates: the responder is found among those that are known', async () => {
    await respond('Responder', '-resp_no_certs');
    expect(await statusOf('Good', {}, [named('Responder')])).toBe('good by ocsp');
    expect(await statusOf('Good', {})).toContain('nobody who is known to speak for the issuer');
  });

  test('a responder that may itself be revoked is good only with a CRL that says so', async () => {
    await respond('Checked');
    expect(await statusOf('Good', { sources: 'ocsp-first' })).toContain('good by');
    expect(await statusOf('Good', { sources: 'ocsp' })).toContain('not known whether it has been revoked');
  });

  test('without a signer who has the right', async () => {
    await respond('Good');
    expect(await statusOf('Revoked', {})).toContain('to whom the issuer gave no right');
  });

  test('which does not know the certificate', async () => {
    await writeFile(at('empty.txt'), '');
    await respond('Root', '-index', at('empty.txt'));
    expect(await statusOf('Good', {})).toContain('does not know it');
    expect(await statusOf('Good', { sources: 'ocsp-first' })).toBe('good by crl');
  });
});
