import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import type { SoftwareSource } from '../../src/hsm/source-kinds.ts';
import { Authority, type KeyKind as FileKind } from './support/authority.ts';
import { keyBehaviour } from './support/key-behaviour.ts';
import type { Expected } from './support/key-under-test.ts';
import { type OpenedKeys, openKeys } from './support/opened-keys.ts';
import { present } from './support/refusal.ts';
import { workbench } from './support/workbench.ts';

/** The same behaviour for keys in files. */

const RSA = { kind: 'rsa', signs: ['rsa-pkcs1', 'rsa-pss'], opens: ['rsa-pkcs1', 'rsa-oaep'] } as const;
const EC = { kind: 'ec', signs: ['ecdsa'], opens: ['agree'] } as const;

const KEYS: readonly [FileKind, SoftwareSource['kind'], Expected][] = [
  ['rsa', 'pem', RSA],
  ['p256', 'pkcs12', EC],
  ['p384', 'pem', EC],
  ['p521', 'pem', EC],
  ['brainpool256', 'pem', EC],
  ['ed25519', 'pem', { kind: 'ed25519', signs: ['eddsa'], opens: [] }],
  ['x25519', 'pem', { kind: 'x25519', signs: [], opens: ['agree'] }],
];

const authority = new Authority();
const bench = workbench();
const opened = new Map<FileKind, OpenedKeys>();

beforeAll(async () => {
  for (const [kind, format] of KEYS) {
    authority.newKey(`${kind}.key`, kind);
    authority.certify(kind, { address: `${kind}@example.org` });
    opened.set(kind, await openKeys(format === 'pkcs12' ? pkcs12(kind) : pem(kind), bench));
  }
}, 60_000);

afterAll(async () => {
  for (const keys of opened.values()) await keys.close();
  bench.remove();
  authority.remove();
});

function pem(kind: FileKind): SoftwareSource {
  const [key, certificate] = [authority.path(`${kind}.key`), authority.path(`${kind}.crt`)];
  return { kind: 'pem', key, certificate, passphrase: null };
}

function pkcs12(kind: FileKind): SoftwareSource {
  const [file, password] = [authority.path(`${kind}.p12`), authority.path(`${kind}.pass`)];
  writeFileSync(password, 'verse\n', { mode: 0o600 });
  const { key, certificate } = pem(kind) as Extract<SoftwareSource, { kind: 'pem' }>;
  authority.openssl(
    ...['pkcs12', '-export', '-inkey', key, '-in', certificate, '-passout', `file:${password}`, '-out', file],
  );
  return { kind: 'pkcs12', file, password: { file: password } };
}

for (const [kind, format, expected] of KEYS) {
  keyBehaviour(`software ${kind} (${format})`, expected, () => present(opened.get(kind)).only());
}
