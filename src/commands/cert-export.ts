import { type Command, Option } from 'commander';
import { certificatesOnly } from '../cms/sign.ts';
import { EXPORT_HEADS, type ExportFormat, writeItem } from '../directory/interchange/write-items.ts';
import type { CertificateRegister, DirectoryEntry } from '../directory/register.ts';
import type { CertificateSearch } from '../directory/search.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Certificate } from '../pki/certificate.ts';
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
      new Option('--format <format>', 'of the file')
        .choices(['pem', 'der', 'p7b', 'ldif', 'vcard'])
        .default('pem'),
    )
    .option('--address <part>', 'a part of the address')
    .option('--domain <domain>', 'addresses of this domain')
    .option('--fingerprint <hex>', 'one certificate')
    .option('--all', 'those that wait, were replaced or are distrusted too')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .action((options: ExportOptions) => exportFile(options));
}

type ExportOptions = OutputOptions & {
  config?: string;
  format: ExportFormat | 'der' | 'p7b';
  fingerprint?: string;
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
  const { address, domain, all, fingerprint } = options;
  const search: CertificateSearch = {
    ...(address === undefined ? {} : { address }),
    ...(domain === undefined ? {} : { domain }),
    ...(fingerprint === undefined ? {} : { fingerprint: fingerprintFrom(fingerprint) }),
    ...(all === true ? {} : { state: 'current' }),
  };
  await withDirectory(
    { ...(options.config === undefined ? {} : { config: options.config }) },
    ({ register }) => writeMessageFile(options.out, pieces(register, search, options)),
  );
}

async function* pieces(
  register: CertificateRegister,
  search: CertificateSearch,
  { format, all }: ExportOptions,
): AsyncGenerator<Buffer> {
  const found = exported(register, search, all === true);
  switch (format) {
    case 'der':
      yield (await only(found)).der;
      return;
    case 'p7b':
      yield certificatesOnly(await few(found));
      return;
    case 'pem': {
      // Each once, however many addresses it has one after the other.
      let last = '';
      for await (const one of found) {
        if (one.certificate.fingerprint === last) continue;
        last = one.certificate.fingerprint;
        yield Buffer.from(writeItem(one, format));
      }
      return;
    }
    default:
      yield Buffer.from(EXPORT_HEADS[format]);
      for await (const one of found) yield Buffer.from(writeItem(one, format));
  }
}

async function* exported(
  register: CertificateRegister,
  search: CertificateSearch,
  all: boolean,
): AsyncGenerator<DirectoryEntry> {
  for await (const entry of register.all(search)) {
    if (all || entry.decision?.decision !== 'distrusted') yield entry;
  }
}

/** What a PKCS #7 object may hold, each once. */
async function few(found: AsyncIterable<DirectoryEntry>): Promise<Certificate[]> {
  const certificates = new Map<string, Certificate>();
  for await (const { fingerprint, certificate } of found) {
    certificates.set(fingerprint, certificate);
    if (certificates.size > limits.pki.bundleCertificates) {
      throw unfit(
        `A PKCS #7 file has at most ${limits.pki.bundleCertificates} certificates: say --format pem, or narrow the search.`,
      );
    }
  }
  if (certificates.size === 0) throw unfit('Nothing is found that could be exported.');
  return [...certificates.values()];
}

async function only(found: AsyncIterable<DirectoryEntry>): Promise<Certificate> {
  const [certificate, ...others] = await few(found);
  if (certificate === undefined || others.length > 0) {
    throw unfit('A DER file has one certificate: name it with --fingerprint, or say --format p7b.');
  }
  return certificate;
}

function unfit(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.export', duration: 'permanent', publicText });
}
