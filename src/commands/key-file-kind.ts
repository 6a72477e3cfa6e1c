import { isUniversal, universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { smallInteger } from '../asn1/values.ts';
import { SealgateError } from '../errors.ts';

/** What a file that somebody imports is, by its content: names of files say little. */
export type KeyFileKind = 'pkcs12' | 'private-key' | 'certificates';

const SEQUENCE_IDENTIFIER = 0x30;

/** What is neither is taken for certificates, and refused by their reader. */
export function keyFileKind(octets: Buffer): KeyFileKind {
  if (octets[0] !== SEQUENCE_IDENTIFIER) {
    return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(octets.toString('latin1'))
      ? 'private-key'
      : 'certificates';
  }
  try {
    const structure = sequenceOf(readWhole(octets, 'BER'), 'BER');
    const first = structure.next();
    // PFX has version 3 (RFC 7292 §4), PrivateKeyInfo and ECPrivateKey 0 and 1, EncryptedPrivateKeyInfo an AlgorithmIdentifier.
    if (isUniversal(first, universal.integer)) return smallInteger(first) === 3 ? 'pkcs12' : 'private-key';
    const second = structure.next();
    return structure.atEnd && isUniversal(second, universal.octetString) ? 'private-key' : 'certificates';
  } catch (error) {
    if (error instanceof SealgateError) return 'certificates';
    throw error;
  }
}
