import type { SignatureScheme } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';
import { chainOf } from './chain.ts';
import { HeldKey } from './held-key.ts';
import type { Inventory, KeyDescription, OpeningAbility } from './inventory.ts';
import { ProcessDecryptionKey, type ProcessKeyDetails, ProcessSigningKey } from './process-key.ts';
import type { RateLimit } from './rate-limit.ts';
import { includesScheme } from './signature-schemes.ts';
import type { KeySource } from './source-kinds.ts';
import type { WatchedPlace } from './watched-place.ts';

export type SourceKeys = {
  signing: readonly ProcessSigningKey[];
  decryption: readonly ProcessDecryptionKey[];
};

export type SourceKeysOptions = {
  source: KeySource;
  places: readonly WatchedPlace[];
  /** Whether ML-DSA keys sign. */
  postQuantum: boolean;
  /** @param key as in Operation */
  limitOf(key: string): RateLimit | null;
};

/** A private key with one of its certificates, put together from every place that holds it. */
type Entry = {
  key: string;
  certificate: Certificate;
  /** What the first place calls it. */
  name: string;
  id: string;
  schemes: SignatureScheme[];
  opens: Set<OpeningAbility>;
};

/** A key of a card in whose place another one is. */
export type FormerKey = { source: string; name: string; label: string; certificate: Certificate };

/** Keys that signed from cards which have made room for others; to say which card is wanted, and for nothing else. */
export function formerSigningKeys(source: KeySource, places: readonly WatchedPlace[]): FormerKey[] {
  if (source.use === 'decrypt') return [];
  const descriptions = places.flatMap(({ former }) => former.flatMap(({ keys }) => keys));
  return descriptions
    .filter(({ schemes }) => schemes.length > 0)
    .flatMap(({ label, id, certificate }) =>
      parseIfPossible(certificate).map((parsed) => ({
        ...{ source: source.name, name: label, certificate: parsed },
        label: `${source.name}/${label === '' ? id : label}`,
      })),
    );
}

/**
 * Keys that opened mail, on cards which have made room for others: known, and away until their card is there again. Mail for them
 * waits; it is not shown as mail for nobody.
 */
export function formerDecryptionKeys({
  source,
  places,
  limitOf,
}: Omit<SourceKeysOptions, 'postQuantum'>): ProcessDecryptionKey[] {
  if (source.use === 'sign') return [];
  const entries = entriesOf(places.flatMap(({ former }) => former));
  const labels = labelsOf(source, entries);
  return entries
    .filter(({ opens }) => opens.size > 0)
    .map((entry) => {
      const { key, certificate, name, opens } = entry;
      const details: ProcessKeyDetails = {
        ...{ source: source.name, name, use: source.use === 'decrypt' ? source.use : null, certificate },
        ...{ held: new HeldKey(key, places), limit: limitOf(key), chain: [] },
        label: labels.get(entry) ?? source.name,
      };
      return new ProcessDecryptionKey(details, opens);
    });
}

/** The keys of one source as of now: of all its places together, each key with each of its certificates once. */
export function sourceKeys({ source, places, postQuantum, limitOf }: SourceKeysOptions): SourceKeys {
  const inventories = places.flatMap(({ inventory }) => inventory ?? []);
  const entries = entriesOf(inventories);
  const certificates = inventories.flatMap((each) => each.certificates.flatMap(parseIfPossible));
  const held = new Map<string, HeldKey>();
  const labels = labelsOf(source, entries);
  const use = source.use === 'sign-and-decrypt' ? null : source.use;
  const signing: ProcessSigningKey[] = [];
  const decryption: ProcessDecryptionKey[] = [];
  for (const entry of entries) {
    const { key, certificate, name, opens } = entry;
    const holder = held.get(key) ?? new HeldKey(key, places);
    held.set(key, holder);
    const details: ProcessKeyDetails = {
      ...{ source: source.name, name, use, certificate, held: holder, limit: limitOf(key) },
      label: labels.get(entry) ?? source.name,
      chain: chainOf(certificate, certificates),
    };
    const schemes = entry.schemes.filter(({ kind }) => postQuantum || kind !== 'ml-dsa');
    if (use !== 'decrypt' && schemes.length > 0) signing.push(new ProcessSigningKey(details, schemes));
    if (use !== 'sign' && opens.size > 0) decryption.push(new ProcessDecryptionKey(details, opens));
  }
  return { signing, decryption };
}

function entriesOf(inventories: readonly Inventory[]): Entry[] {
  const entries = new Map<string, Entry>();
  for (const description of inventories.flatMap(({ keys }) => keys)) {
    for (const certificate of parseIfPossible(description.certificate)) {
      const identity = `${description.key} ${certificate.fingerprint}`;
      const entry = entries.get(identity) ?? newEntry(description, certificate);
      entries.set(identity, entry);
      entry.schemes.push(...description.schemes.filter((each) => !includesScheme(entry.schemes, each)));
      for (const ability of description.opens) entry.opens.add(ability);
    }
  }
  return [...entries.values()];
}

function newEntry({ key, label, id }: KeyDescription, certificate: Certificate): Entry {
  return { key, certificate, name: label, id, schemes: [], opens: new Set() };
}

/**
 * `name` for the one key of a file; `name/label` where there may be several, with the beginning of the certificate's
 * fingerprint where that is not enough to tell them apart.
 */
function labelsOf({ name, places }: KeySource, entries: readonly Entry[]): ReadonlyMap<Entry, string> {
  const isFile = places.every(({ kind }) => kind === 'pkcs12' || kind === 'pem');
  const isSingle = isFile && new Set(entries.map(({ key }) => key)).size === 1;
  const plain = (entry: Entry): string =>
    isSingle ? name : `${name}/${entry.name === '' ? entry.id : entry.name}`;
  const labels = new Map<Entry, string>();
  for (const entry of entries) {
    const alike = entries.filter((other) => plain(other) === plain(entry)).length;
    const suffix = alike > 1 ? ` (${entry.certificate.fingerprint.slice(0, 8)})` : '';
    labels.set(entry, `${plain(entry)}${suffix}`);
  }
  return labels;
}

/** A token may hold certificates that have nothing to do with mail; one that cannot be read must not hide the others. */
function parseIfPossible(der: Uint8Array): Certificate[] {
  try {
    return [parseCertificate(Buffer.from(der))];
  } catch (error) {
    if (error instanceof SealgateError) return [];
    throw error;
  }
}
