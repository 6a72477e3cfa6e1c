import { type Command, Option } from 'commander';
import { EXPORT_HEADS, type ExportFormat, writeItem } from '../directory/interchange/write-items.ts';
import type { CertificateRegister } from '../directory/register.ts';
import type { CertificateSearch } from '../directory/search.ts';
import { SealgateError } from '../errors.ts';
import {
  type CertOptions,
  entryJson,
  fingerprintFrom,
  withCertOptions,
  withDirectory,
} from './cert-options.ts';
import { entryLines, journalText } from './cert-text.ts';
import { jsonText } from './json-output.ts';
import { type OutputOptions, requireFree } from './output-file.ts';
import { writeMessageFile } from './smime-files.ts';

/** `sealgate cert export` and `show`. */
export function addCertExport(cert: Command): void {
  withCertOptions(
    cert
      .command('show')
      .description('one certificate: the addresses that it is known under, and what people decided about it')
      .argument('<fingerprint>', 'SHA-256 fingerprint'),
  ).action((fingerprint: string, options: CertOptions) => show(fingerprint, options));
  cert
    .command('export')
    .description('writes the certificates that are in use, or those that a search finds, to a file')
    .requiredOption('-o, --out <file>', 'where to; “-”: standard output')
    .option('--force', 'in the place of a file that is there')
    .addOption(
      new Option('--format <format>', 'of the file').choices(['pem', 'ldif', 'vcard']).default('pem'),
    )
    .option('--address <part>', 'a part of the address')
    .option('--domain <domain>', 'addresses of this domain')
    .option('--all', 'those that wait, were replaced or are distrusted too')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .action((options: ExportOptions) => exportFile(options));
}

type ExportOptions = OutputOptions & {
  config?: string;
  format: ExportFormat;
  address?: string;
  domain?: string;
  all?: true;
};

async function show(written: string, options: CertOptions): Promise<void> {
  const fingerprint = fingerprintFrom(written);
  await withDirectory(options, async ({ register }) => {
    const entries = await register.ofCertificate(fingerprint);
    const journal = await register.journal(fingerprint);
    if (entries.length === 0 && journal.length === 0) {
      throw new SealgateError({
        code: 'command.certificate-unknown',
        duration: 'permanent',
        publicText: 'The directory has no certificate with this fingerprint.',
      });
    }
    const text = options.json
      ? jsonText({ fingerprint, entries: entries.map(entryJson), journal })
      : [
          ...entries.flatMap(entryLines),
          ...journal.map((line) => `journal        ${journalText(line)}`),
        ].join('\n');
    process.stdout.write(`${text}\n`);
  });
}

async function exportFile(options: ExportOptions): Promise<void> {
  await requireFree(options);
  const { address, domain, all } = options;
  const search: CertificateSearch = {
    ...(address === undefined ? {} : { address }),
    ...(domain === undefined ? {} : { domain }),
    ...(all === true ? {} : { state: 'current' }),
  };
  await withDirectory(
    { ...(options.config === undefined ? {} : { config: options.config }) },
    ({ register }) => writeMessageFile(options.out, pieces(register, search, options)),
  );
}

/** Of PEM each certificate once, however many addresses it has one after the other. */
async function* pieces(
  register: CertificateRegister,
  search: CertificateSearch,
  { format, all }: ExportOptions,
): AsyncGenerator<Buffer> {
  yield Buffer.from(EXPORT_HEADS[format]);
  let last = '';
  for await (const { address, certificate, decision } of register.all(search)) {
    if (all !== true && decision?.decision === 'distrusted') continue;
    if (format === 'pem' && certificate.fingerprint === last) continue;
    last = certificate.fingerprint;
    yield Buffer.from(writeItem({ address, certificate }, format));
  }
}
