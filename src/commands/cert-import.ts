import { createReadStream } from 'node:fs';
import { type Command, Option } from 'commander';
import { type ImportOutcome, type ImportTrust, importItems } from '../directory/import.ts';
import { type FileKind, kindOfFile, readItems } from '../directory/interchange/read-items.ts';
import { SealgateError } from '../errors.ts';
import { printable } from '../log/printable.ts';
import {
  type CertOptions,
  decidedBy,
  type OpenDirectory,
  withCertOptions,
  withDirectory,
} from './cert-options.ts';
import { jsonText } from './json-output.ts';
import { tellProgress } from './progress.ts';

/** `sealgate cert import`. */
export function addCertImport(cert: Command): void {
  withCertOptions(
    cert
      .command('import')
      .description(
        'takes certificates from files: PEM, DER, PKCS #7, LDIF, vCard; each under the addresses that it names',
      )
      .argument('<files...>', 'files, “-” for standard input')
      .addOption(
        new Option(
          '--trust <trust>',
          'directory: as from a source that you configured; pinned: you vouch for each of them',
        )
          .choices(['directory', 'pinned'])
          .makeOptionMandatory(),
      )
      .addOption(
        new Option('--format <format>', 'default: as the file begins').choices([
          'pem',
          'binary',
          'ldif',
          'vcard',
        ]),
      )
      .option('--reason <text>', 'with --trust pinned: why, for whoever asks later')
      .option('--by <name>', 'with --trust pinned: who decides; default: the user of this machine'),
  ).action((files: string[], options: ImportOptions) => importFiles(files, options));
}

type ImportOptions = CertOptions & {
  trust: 'directory' | 'pinned';
  format?: FileKind;
  reason?: string;
  by?: string;
};

type Refusal = { file: string; place: string; fingerprint: string | null; why: string };

type Counts = { taken: number; pending: number; known: number; refused: number };

async function importFiles(files: readonly string[], options: ImportOptions): Promise<void> {
  const as: ImportTrust =
    options.trust === 'directory'
      ? { trust: 'directory' }
      : { trust: 'pinned', ...decidedBy({ ...options, reason: options.reason ?? '' }) };
  const counts: Counts = { taken: 0, pending: 0, known: 0, refused: 0 };
  const report = options.json ? jsonReport() : textReport();
  await withDirectory(options, async (open) => {
    for (const file of files) await importFile(file, options, as, open, counts, report);
  });
  report.end(counts);
  if (counts.taken + counts.known === 0 && counts.refused > 0) process.exitCode = 1;
}

async function importFile(
  file: string,
  { format }: ImportOptions,
  as: ImportTrust,
  { certificates: store }: OpenDirectory,
  counts: Counts,
  report: Report,
): Promise<void> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  const octets = (input as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  const beginning = await octets.next().catch((cause: unknown) => {
    throw unreadable(file, cause instanceof Error ? cause.message : String(cause), cause);
  });
  const first = beginning.done === true ? Buffer.alloc(0) : beginning.value;
  const kind = format ?? kindOfFile(first);
  if (kind === null) {
    throw unreadable(
      file,
      'it is neither PEM, DER, PKCS #7, LDIF nor vCard by its beginning (--format says what it is)',
    );
  }
  const tell = progress();
  const items = readItems(goingOn(first, octets), kind);
  for await (const outcome of importItems(items, { store, clock: () => new Date(), as })) {
    note(outcome, file, counts, report);
    tell(counts);
  }
}

async function* goingOn(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

function note(outcome: ImportOutcome, file: string, counts: Counts, report: Report): void {
  switch (outcome.kind) {
    case 'taken':
      counts.taken++;
      if (outcome.pending.length > 0) counts.pending++;
      return;
    case 'known':
      counts.known++;
      return;
    case 'refused': {
      counts.refused++;
      const { place, fingerprint, why } = outcome;
      report.refused({ file, place, fingerprint, why });
    }
  }
}

/** A line a second on standard error, once it takes longer than that. */
function progress(): (counts: Counts) => void {
  let last = performance.now();
  return ({ taken, known, refused }) => {
    const now = performance.now();
    if (now - last < 1_000) return;
    last = now;
    tellProgress(`${taken + known + refused} certificates read, ${taken} taken`);
  };
}

type Report = { refused(refusal: Refusal): void; end(counts: Counts): void };

function textReport(): Report {
  return {
    refused({ file, place, fingerprint, why }) {
      const which = fingerprint === null ? '' : ` ${fingerprint}`;
      process.stdout.write(`not taken: ${printable(file)}, ${printable(place)}${which}: ${printable(why)}\n`);
    },
    end({ taken, pending, known, refused }) {
      const waits = pending === 0 ? '' : ` (${pending} of them wait for a review: “sealgate cert pending”)`;
      process.stdout.write(`${taken} taken${waits}, ${known} known already, ${refused} not taken.\n`);
    },
  };
}

/** Bit by bit: a file may have a million of them. */
function jsonReport(): Report {
  let before = '{"refused": [';
  return {
    refused(refusal) {
      process.stdout.write(`${before}\n${jsonText(refusal)}`);
      before = ',';
    },
    end({ taken, pending, known, refused }) {
      const counts = jsonText({ taken, pending, known, notTaken: refused });
      process.stdout.write(`${before === ',' ? '' : before}], "counts": ${counts}}\n`);
    },
  };
}

function unreadable(file: string, why: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'command.input',
    duration: 'permanent',
    publicText: `${printable(file)} cannot be read: ${why}.`,
    cause,
  });
}
