import { constants, createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import {
  bitString,
  boolean,
  explicit,
  ia5String,
  implicitConstructed,
  implicitPrimitive,
  integer,
  namedBits,
  nullValue,
  octetString,
  oid,
  sequence,
  setOf,
  time,
  utf8String,
} from '../../src/asn1/writer.ts';
import { type Certificate, parseCertificate } from '../../src/pki/certificate.ts';

export type KeyPair = { publicKey: KeyObject; privateKey: KeyObject };

/** One key pair per name and test file. */
const pairs = new Map<string, KeyPair>();

export function ecKey(name: string): KeyPair {
  let pair = pairs.get(name);
  if (pair === undefined) {
    pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    pairs.set(name, pair);
  }
  return pair;
}

/** `CN=…` attributes; a value may be an encoded element of any string type. */
export function distinguishedName(...attributes: readonly [type: string, value: string | Buffer][]): Buffer {
  return sequence(
    ...attributes.map(([type, value]) =>
      setOf([sequence(oid(type), typeof value === 'string' ? utf8String(value) : value)]),
    ),
  );
}

export function commonName(name: string): Buffer {
  return distinguishedName(['2.5.4.3', name]);
}

export function extension(dotted: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(dotted), ...(critical ? [boolean(true)] : []), octetString(value));
}

export function basicConstraints(cA: boolean, pathLength: number | null = null, critical = true): Buffer {
  const parts = [...(cA ? [boolean(true)] : []), ...(pathLength === null ? [] : [integer(pathLength)])];
  return extension('2.5.29.19', sequence(...parts), critical);
}

/** Bit numbers of RFC 5280 §4.2.1.3: 0 digitalSignature, 2 keyEncipherment, 4 keyAgreement, 5 keyCertSign … */
export function keyUsage(...bits: number[]): Buffer {
  return extension('2.5.29.15', namedBits(bits), true);
}

export function extendedKeyUsage(critical: boolean, ...purposes: string[]): Buffer {
  return extension('2.5.29.37', sequence(...purposes.map(oid)), critical);
}

export function keyIds(subject: Buffer | null, authority: Buffer | null): Buffer[] {
  return [
    ...(subject === null ? [] : [extension('2.5.29.14', octetString(subject))]),
    ...(authority === null ? [] : [extension('2.5.29.35', sequence(implicitPrimitive(0, authority)))]),
  ];
}

export const generalName = {
  mailbox: (text: string) => implicitPrimitive(1, Buffer.from(text, 'latin1')),
  dns: (text: string) => implicitPrimitive(2, Buffer.from(text, 'latin1')),
  uri: (text: string) => implicitPrimitive(6, Buffer.from(text, 'latin1')),
  ip: (...octets: number[]) => implicitPrimitive(7, Buffer.from(octets)),
  directory: (name: Buffer) => explicit(4, name),
  other: (type: string, value: Buffer) => implicitConstructed(0, oid(type), explicit(0, value)),
  smtpUtf8: (text: string) => generalName.other('1.3.6.1.5.5.7.8.9', utf8String(text)),
};

export function certificatePolicies(...policies: string[]): Buffer {
  return extension('2.5.29.32', sequence(...policies.map((policy) => sequence(oid(policy)))), true);
}

export function policyMappings(...pairs: readonly [issuerDomain: string, subjectDomain: string][]): Buffer {
  return extension(
    '2.5.29.33',
    sequence(...pairs.map(([one, other]) => sequence(oid(one), oid(other)))),
    true,
  );
}

/** SkipCerts of RFC 5280 §4.2.1.11. */
export function requireExplicitPolicy(skip: number): Buffer {
  return extension('2.5.29.36', sequence(implicitPrimitive(0, Buffer.from([skip]))), true);
}

export function subjectAltName(...names: Buffer[]): Buffer {
  return extension('2.5.29.17', sequence(...names));
}

export function nameConstraints(permitted: Buffer[], excluded: Buffer[] = [], critical = true): Buffer {
  const subtrees = (tag: number, bases: Buffer[]) =>
    bases.length === 0 ? [] : [implicitConstructed(tag, ...bases.map((base) => sequence(base)))];
  return extension('2.5.29.30', sequence(...subtrees(0, permitted), ...subtrees(1, excluded)), critical);
}

export type Scheme =
  | 'ecdsa-sha256'
  | 'rsa-sha256'
  | 'rsa-sha1'
  | 'rsa-md5'
  | 'rsa-pss'
  | 'ed25519'
  | 'ml-dsa-65';

const sha256 = sequence(oid('2.16.840.1.101.3.4.2.1'), nullValue());
export const ALGORITHMS: Record<Scheme, Buffer> = {
  'ecdsa-sha256': sequence(oid('1.2.840.10045.4.3.2')),
  'rsa-sha256': sequence(oid('1.2.840.113549.1.1.11'), nullValue()),
  'rsa-sha1': sequence(oid('1.2.840.113549.1.1.5'), nullValue()),
  'rsa-md5': sequence(oid('1.2.840.113549.1.1.4'), nullValue()),
  'rsa-pss': sequence(
    oid('1.2.840.113549.1.1.10'),
    sequence(
      explicit(0, sha256),
      explicit(1, sequence(oid('1.2.840.113549.1.1.8'), sha256)),
      explicit(2, integer(32)),
    ),
  ),
  ed25519: sequence(oid('1.3.101.112')),
  'ml-dsa-65': sequence(oid('2.16.840.1.101.3.4.3.18')),
};

export function signWith(scheme: Scheme, tbs: Buffer, key: KeyObject): Buffer {
  switch (scheme) {
    case 'ecdsa-sha256':
    case 'rsa-sha256':
      return sign('sha256', tbs, key);
    case 'rsa-sha1':
      return sign('sha1', tbs, key);
    case 'rsa-md5':
      return sign('md5', tbs, key);
    case 'rsa-pss':
      return sign('sha256', tbs, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    case 'ed25519':
    case 'ml-dsa-65':
      return sign(null, tbs, key);
  }
}

export type Recipe = {
  subject: string | Buffer;
  issuer?: string | Buffer;
  /** The subject's key; a SubjectPublicKeyInfo may be given as it is. */
  key: KeyPair | Buffer;
  issuerKey?: KeyPair;
  scheme?: Scheme;
  notBefore?: Date;
  notAfter?: Date;
  extensions?: Buffer[];
  version?: number;
  serial?: number;
  /** The AlgorithmIdentifier outside, where it is to differ from the one inside. */
  outerAlgorithm?: Buffer;
};

export const from = new Date('2020-01-01T00:00:00Z');
export const now = new Date('2026-06-01T00:00:00Z');
export const until = new Date('2040-01-01T00:00:00Z');

/** DER of a certificate made to order, good or bad. */
export function makeDer(recipe: Recipe): Buffer {
  const { key, subject, issuer = subject, scheme = 'ecdsa-sha256', extensions = [] } = recipe;
  const name = (text: string | Buffer) => (typeof text === 'string' ? commonName(text) : text);
  const signer = recipe.issuerKey ?? (Buffer.isBuffer(key) ? undefined : key);
  if (signer === undefined) throw new Error('who signs?');
  const spki = Buffer.isBuffer(key) ? key : key.publicKey.export({ format: 'der', type: 'spki' });
  const tbs = sequence(
    explicit(0, integer(recipe.version ?? 2)),
    integer(recipe.serial ?? createHash('sha256').update(spki).digest().readUInt32BE(0)),
    ALGORITHMS[scheme],
    name(issuer),
    sequence(time(recipe.notBefore ?? from), time(recipe.notAfter ?? until)),
    name(subject),
    spki,
    ...(extensions.length === 0 ? [] : [explicit(3, sequence(...extensions))]),
  );
  return sequence(
    tbs,
    recipe.outerAlgorithm ?? ALGORITHMS[scheme],
    bitString(signWith(scheme, tbs, signer.privateKey)),
  );
}

export function makeCertificate(recipe: Recipe): Certificate {
  return parseCertificate(makeDer(recipe));
}

/** A CA below `issuer` (or a root), with its key by its name. */
export function makeCa(name: string, issuer: string = name, extensions: Buffer[] = []): Certificate {
  return makeCertificate({
    subject: name,
    issuer,
    key: ecKey(name),
    issuerKey: ecKey(issuer),
    extensions: [basicConstraints(true), keyUsage(5, 6), ...extensions],
  });
}

/** An end entity below `issuer`, with its key by its name. */
export function makeEnd(name: string, issuer: string, extensions: Buffer[] = []): Certificate {
  return makeCertificate({ subject: name, issuer, key: ecKey(name), issuerKey: ecKey(issuer), extensions });
}

export function emailAddress(text: string): [string, Buffer] {
  return ['1.2.840.113549.1.9.1', ia5String(text)];
}
