import {
  bitString,
  enumerated,
  explicit,
  generalizedTime,
  implicitConstructed,
  implicitPrimitive,
  integer,
  namedBits,
  sequence,
  time,
} from '../../src/asn1/writer.ts';
import { type CertificateRevocationList, parseCrl } from '../../src/pki/crl.ts';
import {
  ALGORITHMS,
  commonName,
  extension,
  generalName,
  type KeyPair,
  now,
  type Scheme,
  signWith,
} from './make-certificate.ts';

export type EntryRecipe = {
  serial: number | Buffer;
  date?: Date;
  /** CRLReason, RFC 5280 §5.3.1. */
  reason?: number;
  /** Common names. */
  issuers?: string[];
  extensions?: Buffer[];
};

export type CrlRecipe = {
  issuer: string;
  key: KeyPair;
  scheme?: Scheme;
  thisUpdate?: Date;
  nextUpdate?: Date | null;
  entries?: EntryRecipe[];
  number?: number;
  /** BaseCRLNumber: makes it a delta. */
  base?: number;
  scope?: ScopeRecipe;
  extensions?: Buffer[];
  /** null: version 1. */
  version?: number | null;
};

export type ScopeRecipe = {
  /** Common names of the place. */
  names?: string[];
  uri?: string;
  only?: 'user' | 'ca' | 'attribute';
  /** Bits of ReasonFlags. */
  reasons?: number[];
  indirect?: boolean;
};

export const hour = 3_600_000;
export const later = (ms: number): Date => new Date(now.getTime() + ms);

const TRUE = Buffer.from([0xff]);

function placeName({ names = [], uri }: ScopeRecipe): Buffer[] {
  const all = [
    ...names.map((name) => generalName.directory(commonName(name))),
    ...(uri === undefined ? [] : [generalName.uri(uri)]),
  ];
  return all.length === 0 ? [] : [explicit(0, implicitConstructed(0, ...all))];
}

function reasonFlags(tag: number, bits: number[] | undefined): Buffer[] {
  // The content of the BIT STRING is what follows identifier and length.
  return bits === undefined ? [] : [implicitPrimitive(tag, namedBits(bits).subarray(2))];
}

export function issuingDistributionPoint(scope: ScopeRecipe): Buffer {
  const { only, reasons, indirect = false } = scope;
  const flag = (tag: number, set: boolean) => (set ? [implicitPrimitive(tag, TRUE)] : []);
  return extension(
    '2.5.29.28',
    sequence(
      ...placeName(scope),
      ...flag(1, only === 'user'),
      ...flag(2, only === 'ca'),
      ...reasonFlags(3, reasons),
      ...flag(4, indirect),
      ...flag(5, only === 'attribute'),
    ),
    true,
  );
}

export type PointRecipe = { names?: string[]; uri?: string; reasons?: number[]; issuers?: string[] };

export function cRLDistributionPoints(...points: PointRecipe[]): Buffer {
  return placesExtension('2.5.29.31', points);
}

export function freshestCRL(...points: PointRecipe[]): Buffer {
  return placesExtension('2.5.29.46', points);
}

function placesExtension(dotted: string, points: readonly PointRecipe[]): Buffer {
  return extension(
    dotted,
    sequence(
      ...points.map((point) =>
        sequence(
          ...placeName(point),
          ...reasonFlags(1, point.reasons),
          ...(point.issuers === undefined
            ? []
            : [
                implicitConstructed(
                  2,
                  ...point.issuers.map((name) => generalName.directory(commonName(name))),
                ),
              ]),
        ),
      ),
    ),
  );
}

export function entryDer(entry: EntryRecipe): Buffer {
  const issuers = entry.issuers?.map((name) => generalName.directory(commonName(name)));
  const extensions = [
    ...(entry.reason === undefined ? [] : [extension('2.5.29.21', enumerated(entry.reason))]),
    ...(issuers === undefined ? [] : [extension('2.5.29.29', sequence(...issuers), true)]),
    ...(entry.extensions ?? []),
  ];
  return sequence(
    integer(entry.serial),
    time(entry.date ?? later(-48 * hour)),
    ...(extensions.length === 0 ? [] : [sequence(...extensions)]),
  );
}

/** DER of a CRL made to order, good or bad. */
export function makeCrlDer(recipe: CrlRecipe): Buffer {
  const { issuer, key, scheme = 'ecdsa-sha256', entries, version = 1 } = recipe;
  const { nextUpdate = later(24 * hour) } = recipe;
  const extensions = [
    ...(recipe.number === undefined ? [] : [extension('2.5.29.20', integer(recipe.number))]),
    ...(recipe.base === undefined ? [] : [extension('2.5.29.27', integer(recipe.base), true)]),
    ...(recipe.scope === undefined ? [] : [issuingDistributionPoint(recipe.scope)]),
    ...(recipe.extensions ?? []),
  ];
  const tbs = sequence(
    ...(version === null ? [] : [integer(version)]),
    ALGORITHMS[scheme],
    commonName(issuer),
    time(recipe.thisUpdate ?? later(-hour)),
    ...(nextUpdate === null ? [] : [time(nextUpdate)]),
    ...(entries === undefined ? [] : [sequence(Buffer.concat(entries.map(entryDer)))]),
    ...(extensions.length === 0 ? [] : [explicit(0, sequence(...extensions))]),
  );
  return sequence(tbs, ALGORITHMS[scheme], bitString(signWith(scheme, tbs, key.privateKey)));
}

export function makeCrl(recipe: CrlRecipe): CertificateRevocationList {
  return parseCrl(makeCrlDer(recipe));
}

export function invalidityDate(date: Date): Buffer {
  return extension('2.5.29.24', generalizedTime(date));
}
