import * as der from '../../src/asn1/writer.ts';
import { describeContentEncryption } from '../../src/cms/content-encryption.ts';
import { readEnvelopedData } from '../../src/cms/enveloped-data.ts';
import { resolveKeyAgreement } from '../../src/cms/key-agreement.ts';
import { resolveKeyTransport } from '../../src/cms/key-transport.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import type { RecipientInfo } from '../../src/cms/recipient-infos.ts';
import { resolveSignature } from '../../src/cms/signatures.ts';
import { readSignedData, type SignerInfo } from '../../src/cms/signed-data.ts';
import { readContentInfo } from '../cms/support/read-content-info.ts';
import type {
  EnvelopedMessage,
  Recipient,
  SignatureAlgorithm,
  SignedMessage,
  Signer,
  Specification,
} from './specification.ts';

/**
 * What a message is, in the words of a specification: a program that was asked for one thing and made another has not
 * shown that it can do the first.
 *
 * @returns null when there is nothing to compare: mail and key files
 */
export function expectedForm(message: Specification): string | null {
  switch (message.kind) {
    case 'signed':
      return expectedSignature(message);
    case 'enveloped':
      return expectedEncryption(message);
    case 'compressed':
      return `${lengths(message.stream)}compressed`;
    case 'certificates-only':
      return `signed by nobody, ${message.withAuthority ? 2 : 1} certificates`;
    case 'mail':
    case 'key-file':
      return null;
  }
}

/** The same of what was made. @throws SealgateError for what cannot be read */
export function formOf(octets: Buffer, message: Specification): string {
  const streamed = 'stream' in message && message.stream === true;
  const before = lengths(streamed && octets[1] === 0x80);
  switch (readContentInfo(octets).contentType) {
    case contentTypes.signedData:
      return before + signatureOf(octets);
    case contentTypes.envelopedData:
    case contentTypes.authEnvelopedData:
      return before + encryptionOf(octets, 'anyCipher' in message && message.anyCipher === true);
    case contentTypes.compressedData:
      return `${before}compressed`;
    default:
      return `content type ${readContentInfo(octets).contentType}`;
  }
}

function lengths(indefinite: boolean | undefined): string {
  return indefinite === true ? 'in indefinite lengths, ' : '';
}

function expectedSignature(message: SignedMessage): string {
  const signers = message.signers.map((signer) =>
    signerText(signer, message.bare === true, message.byKeyIdentifier === true),
  );
  const what = message.detached === true ? 'signed apart' : 'signed';
  return `${lengths(message.stream)}${what} by ${signers.sort().join(' and ')}`;
}

function signerText(signer: Signer, bare: boolean, byKeyIdentifier: boolean): string {
  const text = algorithmText(signer);
  return `${text}${bare ? ' without attributes' : ''}${byKeyIdentifier ? ', key identifier' : ''}`;
}

function algorithmText({ key, algorithm }: Signer): string {
  return algorithm.kind === 'of-the-key' ? key : textOf(algorithm);
}

function textOf(algorithm: Exclude<SignatureAlgorithm, { kind: 'of-the-key' }>): string {
  if (algorithm.kind !== 'rsa-pss') return `${algorithm.kind}-${algorithm.digest}`;
  const { digest, maskDigest, saltOctets } = algorithm;
  return `rsa-pss-${digest}/${maskDigest}/${saltOctets}`;
}

function signatureOf(octets: Buffer): string {
  const { content, signerInfos, certificates } = readSignedData(octets);
  if (signerInfos.length === 0) return `signed by nobody, ${certificates.length} certificates`;
  const what = content === null ? 'signed apart' : 'signed';
  return `${what} by ${signerInfos.map(signerInfoText).sort().join(' and ')}`;
}

function signerInfoText(info: SignerInfo): string {
  const resolved = resolveSignature(info.digestAlgorithm, info.signatureAlgorithm);
  let text = resolved.name;
  if (resolved.kind === 'supported' && resolved.scheme.kind === 'rsa-pss') text = textOf(resolved.scheme);
  const bare = info.signedAttributes === null ? ' without attributes' : '';
  const identifier = info.identifier.kind === 'subject-key-identifier' ? ', key identifier' : '';
  return `${text}${bare}${identifier}`;
}

function expectedEncryption(message: EnvelopedMessage): string {
  const recipients = message.recipients.map(recipientText).sort().join(' and ');
  const kind = message.authenticated === true ? 'auth-enveloped' : 'enveloped';
  // The length of an RC2 key stands in its parameters.
  const named = message.cipher.replace(/^rc2-\d+/, 'rc2');
  const cipher = message.anyCipher === true ? anyOf(message.authenticated === true) : named;
  return `${lengths(message.stream)}${kind} ${cipher} for ${recipients}`;
}

function recipientText(recipient: Recipient): string {
  switch (recipient.kind) {
    case 'transport':
      return `rsa-pkcs1${recipient.byKeyIdentifier === true ? ' by key identifier' : ''}`;
    case 'oaep':
      return `rsa-oaep ${recipient.digest}/${recipient.maskDigest}${recipient.label === undefined ? '' : ` label ${recipient.label}`}`;
    case 'agreement': {
      const { kind, digest } = recipient.derivation;
      const how = kind === 'hkdf' ? 'hkdf' : recipient.cofactor === true ? 'cofactor' : 'standard';
      const wrap = recipient.wrap === null ? '' : ` ${recipient.wrap}`;
      const more = `${recipient.ukm === true ? ' ukm' : ''}${recipient.byKeyIdentifier === true ? ' by key identifier' : ''}`;
      return `agreement ${how} ${digest}${wrap}${more}`;
    }
    case 'shared-key':
      return `shared key aes${recipient.octets * 8}-wrap`;
    case 'password':
      return 'password';
    case 'encapsulation':
      return 'encapsulation';
  }
}

function encryptionOf(octets: Buffer, anyCipher: boolean): string {
  const { kind, algorithm, recipientInfos } = readEnvelopedData(octets);
  const recipients = recipientInfos.map(recipientInfoText).sort().join(' and ');
  const { name, authenticated } = describeContentEncryption(algorithm);
  return `${kind} ${anyCipher ? anyOf(authenticated) : name} for ${recipients}`;
}

const WRAPS = new Map([
  ['2.16.840.1.101.3.4.1.5', 'aes128-wrap'],
  ['2.16.840.1.101.3.4.1.25', 'aes192-wrap'],
  ['2.16.840.1.101.3.4.1.45', 'aes256-wrap'],
  ['1.2.840.113549.1.9.16.3.6', 'des-ede3-wrap'],
]);

function anyOf(authenticated: boolean): string {
  return authenticated ? 'with authentication' : 'without authentication';
}

/** dhSinglePass-cofactorDH-… (RFC 5753 §7.1.4). */
const COFACTOR = /^1\.3\.(133\.16\.840\.63\.0\.3|132\.1\.14\.\d)$/;

function recipientInfoText(info: RecipientInfo): string {
  switch (info.kind) {
    case 'key-transport': {
      const by = info.identifier.kind === 'subject-key-identifier' ? ' by key identifier' : '';
      const scheme = resolveKeyTransport(info.algorithm);
      if (scheme === null) return info.algorithm.oid;
      if (scheme.kind === 'rsa-pkcs1') return `rsa-pkcs1${by}`;
      const label = Buffer.from(scheme.label).toString('latin1');
      return `rsa-oaep ${scheme.digest}/${scheme.maskDigest}${label === '' ? '' : ` label ${label}`}`;
    }
    case 'key-agreement': {
      const by = info.identifier.kind === 'subject-key-identifier' ? ' by key identifier' : '';
      const agreement = resolveKeyAgreement(info.algorithm);
      if (agreement === null) return info.algorithm.oid;
      const { kind, digest } = agreement.derivation;
      const how = kind === 'hkdf' ? 'hkdf' : COFACTOR.test(info.algorithm.oid) ? 'cofactor' : 'standard';
      const wrap = WRAPS.get(agreement.wrapAlgorithm.oid) ?? agreement.wrapAlgorithm.oid;
      return `agreement ${how} ${digest} ${wrap}${info.ukm === null ? '' : ' ukm'}${by}`;
    }
    case 'shared-key':
      return `shared key ${WRAPS.get(info.algorithm.oid) ?? info.algorithm.oid}`;
    case 'password':
      return 'password';
    case 'key-encapsulation':
      return 'encapsulation';
  }
}

/** What protects a PKCS#12 file, as far as it can be seen from outside. */
export function keyFileAlgorithms(octets: Buffer): string {
  return KEY_FILE_ALGORITHMS.filter((algorithm) => octets.includes(der.oid(algorithm))).join(' ');
}

/** PBES1 with SHA-1, PBES2, its ciphers and functions (RFC 7292, RFC 8018), and the digests of MACs. */
const KEY_FILE_ALGORITHMS = [
  ...[1, 2, 3, 4, 5, 6].map((each) => `1.2.840.113549.1.12.1.${each}`),
  ...[13, 14].map((each) => `1.2.840.113549.1.5.${each}`),
  ...[7, 8, 9, 10, 11].map((each) => `1.2.840.113549.2.${each}`),
  ...[2, 22, 42].map((each) => `2.16.840.1.101.3.4.1.${each}`),
  ...[1, 2, 3].map((each) => `2.16.840.1.101.3.4.2.${each}`),
  '1.3.14.3.2.26',
];

/** Whether what was made is what was asked for, where a specification leaves some of it to the program. */
export function sameForm(expected: string, made: string): boolean {
  const loose = (text: string): string => text.replace(/(agreement \w+ [\w-]+) \w+-wrap/g, '$1');
  return expected === made || (loose(expected) === expected && loose(made) === expected);
}
