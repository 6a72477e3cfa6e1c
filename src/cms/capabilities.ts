import type { Element } from '../asn1/element.ts';
import { children, readWhole } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { definiteLengths } from '../asn1/transcode.ts';
import * as der from '../asn1/writer.ts';
import { limits } from '../limits.ts';
import type { Certificate } from '../pki/certificate.ts';
import { readAlgorithmIdentifier } from './algorithm-identifier.ts';
import {
  type ContentEncryptionName,
  contentEncryptionByOid,
  contentEncryptionOid,
} from './content-encryption.ts';
import { cekHkdfSha256 } from './derived-content-key.ts';
import { digestOid } from './digests.ts';
import { oaepParameters, rsaesOaep } from './key-transport.ts';
import { isUnreadable } from './malformed.ts';
import { attributeTypes } from './oids.ts';
import { rsassaPss } from './signatures.ts';

/**
 * What a correspondent says that it reads: sMIMECapabilities of its signatures (RFC 8551 §2.5.2), the same as an extension of
 * its certificate (RFC 4262), and what we say of ourselves.
 *
 * A capability is a text, so that it can be compared and stored: the dotted identifier and, where it has parameters, a
 * blank and their DER in hexadecimal digits.
 */
export type Capability = string;

/**
 * SMIMECapabilities ::= SEQUENCE OF SMIMECapability, most preferred first. What is more than a program can have to say is
 * passed over: the list of a stranger is kept.
 *
 * @throws SealgateError `asn1.malformed`
 */
export function readCapabilityList(element: Element): Capability[] {
  sequenceOf(element, 'BER', 'SMIMECapabilities');
  const found: Capability[] = [];
  for (const child of children(element, 'BER')) {
    const { oid, parameters } = readAlgorithmIdentifier(child);
    if (found.length >= limits.cms.capabilities) break;
    if (parameters !== null && parameters.raw.length > limits.cms.capabilityOctets) continue;
    found.push(parameters === null ? oid : `${oid} ${definiteLengths(parameters).toString('hex')}`);
  }
  return found;
}

/** SMIMECapabilities, DER. */
export function encodeCapabilityList(capabilities: readonly Capability[]): Buffer {
  return der.sequence(
    ...capabilities.map((capability) =>
      der.sequence(der.oid(oidOf(capability)), ...(parametersOf(capability) ?? [])),
    ),
  );
}

/** Those of the certificate's extension (RFC 4262 §2); empty: it has none, or one that cannot be read. */
export function capabilitiesOf(certificate: Certificate): Capability[] {
  const extension = certificate.extensions.find(({ oid }) => oid === attributeTypes.smimeCapabilities);
  if (extension === undefined) return [];
  try {
    return readCapabilityList(readWhole(extension.value, 'DER'));
  } catch (error) {
    // It is not critical, and without it nothing is less safe.
    if (isUnreadable(error)) return [];
    throw error;
  }
}

/**
 * What we can read, for our own signatures, by categories and strongest first (RFC 8551 §2.5.2).
 *
 * Content encryption: authenticated ones before CBC, and among them those first that most can write. What is read only
 * because old mail has it (triple DES, RC2) is not announced: it would be used. What everybody reads (PKCS #1 v1.5) and
 * what our certificate says anyway (curves) is left out: it would make every mail longer and nobody choose otherwise.
 */
export const ownCapabilities: readonly Capability[] = [
  rsassaPss,
  ...(
    [
      'aes256-gcm',
      'aes128-gcm',
      'chacha20-poly1305',
      'aes256-ccm',
      'aes128-ccm',
      'aes256-cbc',
      'aes192-cbc',
      'aes128-cbc',
    ] as const
  ).map(contentEncryptionOid),
  cekHkdfSha256,
  `${rsaesOaep} ${oaepParameters('sha256').toString('hex')}`,
];

/** The same for somebody whose key is on a token that cannot do OAEP. */
export const ownCapabilitiesWithoutOaep: readonly Capability[] = ownCapabilities.filter(
  (capability) => oidOf(capability) !== rsaesOaep,
);

/**
 * The content encryptions among a correspondent's capabilities, in the correspondent's order; what we never write is
 * left out.
 */
export function contentEncryptions(capabilities: readonly Capability[]): ContentEncryptionName[] {
  const names = capabilities
    .map((capability) => contentEncryptionByOid(oidOf(capability)))
    .filter((name) => name !== null);
  return [...new Set(names)];
}

/** Whether RSAES-OAEP with SHA-256 is among them (RFC 3560 §5). */
export function announcesOaep(capabilities: readonly Capability[]): boolean {
  return announcesWithSha256(capabilities, rsaesOaep);
}

/** Whether RSASSA-PSS with SHA-256 is among them. */
export function announcesPss(capabilities: readonly Capability[]): boolean {
  return announcesWithSha256(capabilities, rsassaPss);
}

/** Whether content keys that are bound to their algorithm are among them (RFC 9709). */
export function announcesBoundKeys(capabilities: readonly Capability[]): boolean {
  return capabilities.some((capability) => oidOf(capability) === cekHkdfSha256);
}

/**
 * Without parameters: the scheme as such, and so with the digest that everybody has. With them, SHA-256 has to stand in them:
 * they are not parsed, since programs write them with and without the tags of RFC 4055.
 */
function announcesWithSha256(capabilities: readonly Capability[], oid: string): boolean {
  const sha256 = der.oid(digestOid('sha256'));
  return capabilities.some((capability) => {
    const parameters = parametersOf(capability);
    return oidOf(capability) === oid && (parameters === null || parameters[0].includes(sha256));
  });
}

function oidOf(capability: Capability): string {
  return capability.split(' ', 1)[0] ?? '';
}

function parametersOf(capability: Capability): [Buffer] | null {
  const blank = capability.indexOf(' ');
  return blank < 0 ? null : [Buffer.from(capability.slice(blank + 1), 'hex')];
}
