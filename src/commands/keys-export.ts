import type { KeyObject } from 'node:crypto';
import { type Command, Option } from 'commander';
import { certificatesOnly } from '../cms/sign.ts';
import type { Config } from '../config/load.ts';
import { SealgateError, unreachable } from '../errors.ts';
import { chainOf } from '../hsm/chain.ts';
import { writePrivateKey } from '../hsm/files/pkcs8.ts';
import { keysOfPkcs12 } from '../hsm/files/pkcs12-key.ts';
import { writePkcs12 } from '../hsm/files/pkcs12-writer.ts';
import { printable } from '../log/printable.ts';
import type { Secret } from '../log/secret.ts';
import type { Certificate } from '../pki/certificate.ts';
import { sameName } from '../pki/name.ts';
import { writePem } from '../pki/pem.ts';
import { newPassword } from './command-secret.ts';
import { requireConfirmation } from './confirmation.ts';
import { jsonText } from './json-output.ts';
import type { StoreOptions } from './key-store-options.ts';
import { type ExportableKey, openExportableKey } from './keys-export-source.ts';
import { type OutputOptions, requireFree, writeOutput } from './output-file.ts';
import { secretSource, withSecrets } from './secret-options.ts';
import { readCertificateFiles } from './smime-files.ts';
import { namedConfig } from './token-options.ts';

export type ExportOptions = StoreOptions &
  OutputOptions & {
    config?: string;
    format: 'pkcs12' | 'pem' | 'der' | 'p7b';
    certificateOnly?: true;
    oldPrograms?: true;
    anchor?: string[];
    removeKeyAfterwards?: true;
    yes?: true;
    json?: true;
  };

/** `sealgate keys export`: a key with its whole chain to carry it elsewhere, or its certificate to hand it to others. */
export function addKeysExport(keys: Command): void {
  withSecrets(
    keys
      .command('export')
      .description('a key as PKCS#12 or PEM, or its certificate alone as PEM, DER or P7B')
      .argument('<name>', 'name of the key'),
    ...(['password', 'new-password'] as const),
  )
    .option('--store <folder>', 'key store that it is in')
    .option('--source <name>', 'key source of the configuration that it is in')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .addOption(
      new Option('--format <format>', 'pkcs12: everything, for other programs; der and p7b: certificates')
        .choices(['pkcs12', 'pem', 'der', 'p7b'])
        .default('pkcs12'),
    )
    .option('--certificate-only', 'without the private key')
    .option('--old-programs', 'triple DES, for Outlook on old Windows and old macOS; it protects badly')
    .option('--anchor <file...>', 'root certificates, for the end of the chain')
    .requiredOption('-o, --out <file>', 'where it goes; - is standard output')
    .option('--force', 'overwrite the file')
    .option('--remove-key-afterwards', 'take the key out of the key store when the file is written')
    .option('--yes', 'do not ask before the key is removed')
    .option('--json', 'what was written, as JSON')
    .action(exportKey);
}

async function exportKey(name: string, options: ExportOptions): Promise<void> {
  requireSensible(options);
  await requireFree(options);
  const config = await namedConfig(options);
  const withKey = hasPrivateKey(options);
  const key = await openExportableKey(name, withKey, options, config);
  try {
    const what = `remove the key ${printable(key.name)} from ${printable(key.place)}`;
    if (options.removeKeyAfterwards === true) {
      if (key.remove === null) throw notRemovable(key);
      await requireConfirmation(what, key.name, options.yes);
    }
    const chain = await wholeChain(key, options, config);
    const octets = await encode(key, chain, options);
    await writeOutput(options, octets);
    octets.fill(0);
    if (options.removeKeyAfterwards === true) await key.remove?.();
    tell(key, chain, options);
  } finally {
    key.close();
  }
}

function hasPrivateKey({ format, certificateOnly }: ExportOptions): boolean {
  switch (format) {
    case 'pkcs12':
    case 'pem':
      return certificateOnly !== true;
    case 'der':
    case 'p7b':
      return false;
    default:
      return unreachable(format);
  }
}

/** @throws SealgateError `command.export` */
function requireSensible(options: ExportOptions): void {
  const { format, certificateOnly, removeKeyAfterwards, oldPrograms, out, json } = options;
  if (format === 'pkcs12' && certificateOnly === true) {
    throw unusable('--certificate-only goes with --format pem, der or p7b.');
  }
  if (oldPrograms === true && format !== 'pkcs12')
    throw unusable('--old-programs goes with --format pkcs12.');
  if (removeKeyAfterwards === true && (!hasPrivateKey(options) || out === '-')) {
    throw unusable(
      '--remove-key-afterwards goes with an export of the private key into a file: else it would be lost.',
    );
  }
  if (out === '-' && json === true) throw unusable('--json and --out - would both go to standard output.');
}

async function encode(
  { certificate, privateKey, name }: ExportableKey,
  chain: readonly Certificate[],
  options: ExportOptions,
): Promise<Buffer> {
  const pem = [certificate, ...chain].map(({ der }) => writePem('CERTIFICATE', der)).join('');
  switch (options.format) {
    case 'der':
      return Buffer.from(certificate.der);
    case 'p7b':
      return certificatesOnly([certificate, ...chain]);
    case 'pem': {
      if (privateKey === null) return Buffer.from(pem);
      const password = await newPassword(secretSource('new-password', options), options.out);
      return Buffer.from(`${await writePrivateKey(privateKey, password)}${pem}`);
    }
    case 'pkcs12': {
      if (privateKey === null) throw new Error('a PKCS#12 file without a key');
      const password = await newPassword(secretSource('new-password', options), options.out);
      return await pkcs12({ certificate, privateKey, chain, friendlyName: name }, password, options);
    }
    default:
      return unreachable(options.format);
  }
}

async function pkcs12(
  entry: {
    certificate: Certificate;
    privateKey: KeyObject;
    chain: readonly Certificate[];
    friendlyName: string;
  },
  password: Secret,
  { oldPrograms, out }: ExportOptions,
): Promise<Buffer> {
  const octets = await writePkcs12([entry], password, {
    protection: oldPrograms === true ? 'old-programs' : 'current',
  });
  // A key may be removed after this: what was written has to open.
  await keysOfPkcs12(octets, password, out);
  return octets;
}

/** With the root, where it is known: other programs ask for it. */
async function wholeChain(
  { certificate, chain }: ExportableKey,
  { anchor = [] }: ExportOptions,
  config: Config | null,
): Promise<Certificate[]> {
  const anchors = [
    ...(await readCertificateFiles(anchor)),
    ...(config === null ? [] : await readCertificateFiles(config.trust.anchors)),
  ];
  const intermediates = config === null ? [] : await readCertificateFiles(config.trust.intermediates);
  const path = chainOf(certificate, [...chain, ...intermediates]);
  const last = path.at(-1) ?? certificate;
  const root = anchors.find((one) => sameName(one.subject, last.issuer));
  return root === undefined || root.fingerprint === last.fingerprint ? path : [...path, root];
}

function tell(key: ExportableKey, chain: readonly Certificate[], options: ExportOptions): void {
  const { out, format, removeKeyAfterwards, oldPrograms } = options;
  const withKey = hasPrivateKey(options);
  const removed = removeKeyAfterwards === true;
  if (options.json === true) {
    const written = {
      name: key.name,
      file: out,
      format,
      privateKey: withKey,
      certificates: 1 + chain.length,
      removed,
    };
    process.stdout.write(`${jsonText(written)}\n`);
    return;
  }
  const lines = [
    `${printable(key.name)} was written to ${out === '-' ? 'standard output' : printable(out)} (${format}, ${withKey ? 'with' : 'without'} its private key, ${1 + chain.length} ${chain.length === 0 ? 'certificate' : 'certificates'}).`,
    ...(oldPrograms === true
      ? ['It is protected with triple DES only: carry it to its place and delete it.']
      : []),
    ...(removed ? ['The key was removed: this file is the only one that has it.'] : []),
  ];
  process.stderr.write(`${lines.join('\n')}\n`);
}

function notRemovable({ place }: ExportableKey): SealgateError {
  return unusable(`Keys are removed from key stores only; ${printable(place)} is none. Nothing was written.`);
}

function unusable(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.export', duration: 'permanent', publicText });
}
