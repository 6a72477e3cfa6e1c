import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import type { KeyStore } from '../hsm/key-store/key-store.ts';
import type { LoadedKey } from '../hsm/loaded-key.ts';
import { printable } from '../log/printable.ts';
import type { Certificate } from '../pki/certificate.ts';
import { type CertificateCheck, checkCertificate, requireGood } from './certificate-checks.ts';
import type { KeyFileKind } from './key-file-kind.ts';
import { loadKeyFile } from './key-files.ts';
import { requireKeyName } from './key-subject.ts';
import type { Imported, ImportOptions } from './keys-import.ts';
import { ownCertificates } from './own-certificates.ts';
import { readCertificateFiles } from './smime-files.ts';

/** Everything is read and checked before the first thing is written. */
export async function importIntoStore(
  store: KeyStore,
  path: string,
  kind: KeyFileKind,
  options: ImportOptions,
  config: Config | null,
): Promise<Imported[]> {
  const further = await readCertificateFiles(options.intermediate ?? []);
  const check = async (
    certificate: Certificate,
    chain: readonly Certificate[],
  ): Promise<CertificateCheck[]> => {
    const checks = await checkCertificate(certificate, [...chain, ...further], options, config, new Date());
    requireGood(checks, options);
    return checks;
  };
  if (kind === 'certificates') {
    const { own, chain } = ownCertificates(await readCertificateFiles([path]));
    const named: Imported[] = [];
    for (const certificate of own) {
      const name = options.name ?? (await nameOfKey(store, certificate));
      const checks = await check(certificate, chain);
      named.push({ name, certificate, checks, how: 'the certificate was put to its key' });
    }
    for (const { name, certificate } of named)
      await store.setCertificate(name, [certificate, ...chain, ...further]);
    return named;
  }
  const keys = distinctKeys(await loadKeyFile(path, kind, options));
  const names = namesFor(keys, options.name);
  const imported: Imported[] = [];
  for (const [index, { certificate, chain }] of keys.entries()) {
    const name = names[index] ?? '';
    imported.push({
      name,
      certificate,
      how: 'imported into the key store',
      checks: await check(certificate, chain),
    });
  }
  for (const [index, key] of keys.entries()) {
    const settings = { name: names[index] ?? '', exportable: options.exportable === true, use: options.use };
    await store.add(key.privateKey, [key.certificate, ...key.chain, ...further], settings);
  }
  return imported;
}

/** Of a key with several certificates the newest: the store keeps one for each key. */
function distinctKeys(loaded: readonly LoadedKey[]): LoadedKey[] {
  const keys = new Map<string, LoadedKey>();
  for (const key of loaded) {
    const spki = key.certificate.subjectPublicKeyInfo.toString('base64');
    const known = keys.get(spki);
    if (known === undefined || known.certificate.notBefore < key.certificate.notBefore) keys.set(spki, key);
  }
  return [...keys.values()];
}

function namesFor(keys: readonly LoadedKey[], wanted: string | undefined): string[] {
  if (wanted !== undefined) requireKeyName(wanted);
  const used = new Set<string>();
  return keys.map(({ certificate }) => {
    const base = wanted ?? certificate.mailboxes[0] ?? 'key';
    let name = base;
    for (let i = 2; used.has(name); i++) name = `${base}-${i}`;
    used.add(name);
    return name;
  });
}

async function nameOfKey(store: KeyStore, certificate: Certificate): Promise<string> {
  const { keys } = await store.list();
  const found = keys.find(({ publicKey }) =>
    publicKey.export({ type: 'spki', format: 'der' }).equals(certificate.subjectPublicKeyInfo),
  );
  if (found !== undefined) return found.name;
  throw new SealgateError({
    code: 'key.no-private-key',
    duration: 'permanent',
    publicText: `The certificate of ${printable(certificate.subject.text)} belongs to no key in the key store ${printable(store.folder)}; import it where its key was generated.`,
  });
}
