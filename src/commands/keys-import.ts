import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Config } from '../config/load.ts';
import { readPublicFile } from '../hsm/files/private-file.ts';
import { printable } from '../log/printable.ts';
import type { Certificate } from '../pki/certificate.ts';
import { type CertificateCheck, type CheckingOptions, checkLines } from './certificate-checks.ts';
import { jsonText } from './json-output.ts';
import { keyFileKind } from './key-file-kind.ts';
import { namedSource, requireStore, type StoreOptions } from './key-store-options.ts';
import { importIntoStore } from './keys-import-store.ts';
import { importIntoToken } from './keys-import-token.ts';
import { withSecrets } from './secret-options.ts';
import { namedConfig, type TokenOptions, withToken } from './token-options.ts';
import { certificateJson } from './token-text.ts';

export type ImportOptions = TokenOptions &
  StoreOptions &
  CheckingOptions & {
    certificate?: string;
    name?: string;
    use: 'sign-and-decrypt' | 'sign' | 'decrypt';
    exportable?: true;
    strict?: true;
    useLastTry?: true;
    json?: true;
  };

/** What came to be, for one key. */
export type Imported = { name: string; certificate: Certificate; how: string; checks: CertificateCheck[] };

/** `sealgate keys import`: keys and certificates from files into a key store or a token. */
export function addKeysImport(keys: Command): void {
  withSecrets(
    withToken(
      keys
        .command('import')
        .description(
          'a key (PKCS#12, PEM, DER) into a key store or a token; or a certificate alone, to the key it was asked for with. Says what is wrong with the certificate',
        )
        .argument('<file>', 'PKCS#12, private key or certificate'),
    ),
    ...(['pin', 'password', 'file-password'] as const),
  )
    .option('--store <folder>', 'key store that it goes into')
    .option('--certificate <file>', 'certificate and chain, where those are in another file than the key')
    .option('--intermediate <file...>', 'further certificates of the chain')
    .option('--anchor <file...>', 'certificate authorities to trust while checking')
    .option('--address <address...>', 'addresses that the certificate should be for')
    .option('--name <name>', 'what the key is called; default: the address in its certificate')
    .addOption(
      new Option('--use <use>', 'what the key is for: decrypt suits old keys')
        .choices(['sign-and-decrypt', 'sign', 'decrypt'])
        .default('sign-and-decrypt'),
    )
    .option('--exportable', 'the key may be taken out again; without it never')
    .option('--strict', 'import nothing when a check finds a problem')
    .option('--use-last-try', 'use the last try for the PIN')
    .option('--json', 'as JSON')
    .action(importFile);
}

async function importFile(file: string, options: ImportOptions): Promise<void> {
  const path = resolve(file);
  const config = await namedConfig(options);
  const kind = keyFileKind(await readPublicFile(path));
  const onToken = isTokenMeant(options, config);
  if (onToken) return tell(await importIntoToken(path, kind, options, config), options);
  const store = await requireStore(options, config);
  try {
    tell(await importIntoStore(store, path, kind, options, config), options);
  } finally {
    store.close();
  }
}

/** `--store` says a key store, `--module` and `--token` a token; `--source` may be either. */
function isTokenMeant(options: ImportOptions, config: Config | null): boolean {
  if (options.store !== undefined) return false;
  if (options.module !== undefined || options.token !== undefined) return true;
  if (options.source === undefined) return false;
  return namedSource(options.source, config).places.some(({ kind }) => kind === 'token');
}

function tell(imported: readonly Imported[], options: ImportOptions): void {
  const text =
    options.json === true
      ? jsonText(
          imported.map(({ certificate, ...one }) => ({ ...one, certificate: certificateJson(certificate) })),
        )
      : imported
          .flatMap(({ name, how, checks }) => [`${printable(name)}: ${how}`, ...checkLines(checks)])
          .join('\n');
  process.stdout.write(`${text}\n`);
}
