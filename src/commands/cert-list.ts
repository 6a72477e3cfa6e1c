import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CertificateSearch } from '../directory/search.ts';
import { type CertOptions, entryJson, withCertOptions, withDirectory } from './cert-options.ts';
import { entryLines } from './cert-text.ts';
import { jsonText } from './json-output.ts';

/** `sealgate cert list`, `search` and `pending`. */
export function addCertList(cert: Command): void {
  withCertOptions(
    cert
      .command('list')
      .description('every certificate that is known, with issuer, validity and trust')
      .option('--address <address>', 'of one address only, found as it is for mail'),
  ).action((options: ListOptions) => list(options));
  withCertOptions(
    cert
      .command('search')
      .description(
        'certificates by a part of an address, a name, a serial number, …: all that is said must hold',
      )
      .argument('[part]', 'a part of the address')
      .option('--domain <domain>', 'addresses of this domain')
      .option('--subject <part>', 'a part of the name in the subject')
      .option('--issuer <part>', 'a part of the name of the issuer')
      .option('--serial <hex>', 'serial number')
      .option('--fingerprint <hex>', 'SHA-256 fingerprint')
      .addOption(new Option('--state <state>', 'state').choices(['current', 'pending', 'superseded']))
      .addOption(
        new Option('--trust <trust>', 'how it is trusted').choices([
          'harvested',
          'directory',
          'verified',
          'pinned',
        ]),
      )
      .addOption(new Option('--decision <decision>', 'what a person said').choices(['trusted', 'distrusted']))
      .option('--expires-before <day>', 'expires before this day (2027-01-31)', dayOf)
      .option('--expires-after <day>', 'does not expire before this day', dayOf)
      .option('--limit <number>', 'entries of a page', numberOf, 50)
      .option('--after <number>', 'the page after this one, as the page before said', numberOf, 0),
  ).action((part: string | undefined, options: SearchOptions) => search(part, options));
  withCertOptions(
    cert
      .command('pending')
      .description(
        'changes that wait for a person: “sealgate cert accept” or “pin” takes one, “distrust” none',
      ),
  ).action((options: CertOptions) => pending(options));
}

type ListOptions = CertOptions & { address?: string };
type SearchOptions = CertOptions & CertificateSearch & { limit: number; after: number };

async function list(options: ListOptions): Promise<void> {
  await withDirectory(options, async ({ register }) => {
    const { address } = options;
    const entries = address === undefined ? register.all() : (await register.history(address)).entries;
    const none =
      'No certificate is known yet: they come with signed mail that is read, and by “sealgate cert import”.';
    await write(entries, options, none);
  });
}

async function pending(options: CertOptions): Promise<void> {
  await withDirectory(options, ({ register }) =>
    write(register.all({ state: 'pending' }), options, 'Nothing waits for a review.'),
  );
}

type Entries = Parameters<typeof entryJson>[0];

/** Bit by bit: a directory may be larger than memory should hold. */
async function write(
  entries: AsyncIterable<Entries> | Iterable<Entries>,
  { json }: CertOptions,
  none: string,
): Promise<void> {
  let count = 0;
  for await (const entry of entries) {
    const before = count++ === 0 ? (json ? '[\n' : '') : json ? ',\n' : '\n';
    process.stdout.write(
      before + (json ? jsonText(entryJson(withoutUnused(entry))) : `${entryLines(entry).join('\n')}\n`),
    );
  }
  if (json) process.stdout.write(count === 0 ? '[]\n' : '\n]\n');
  else if (count === 0) process.stdout.write(`${none}\n`);
}

function withoutUnused(entry: Entries & { unused?: unknown }): Entries {
  const { unused: _, ...rest } = entry;
  return rest;
}

async function search(part: string | undefined, options: SearchOptions): Promise<void> {
  const { config: _, json, limit, after, ...wanted } = options;
  const page = await withDirectory(options, ({ register }) =>
    register.search({ ...wanted, ...(part === undefined ? {} : { address: part }) }, limit, after),
  );
  if (json) {
    process.stdout.write(`${jsonText({ entries: page.entries.map(entryJson), next: page.next })}\n`);
    return;
  }
  const blocks = page.entries.map((entry) => `${entryLines(entry).join('\n')}\n`);
  if (blocks.length === 0) blocks.push('Nothing is found.\n');
  if (page.next !== null) blocks.push(`There is more: the same with --after ${page.next}.\n`);
  process.stdout.write(blocks.join('\n'));
}

function dayOf(written: string): Date {
  const date = new Date(`${written}T00:00:00Z`);
  if (/^\d{4}-\d\d-\d\d$/.test(written) && !Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError('a day is expected, like 2027-01-31');
}

function numberOf(written: string): number {
  const number = Number(written);
  if (/^\d{1,15}$/.test(written)) return number;
  throw new InvalidArgumentError('a whole number is expected');
}
