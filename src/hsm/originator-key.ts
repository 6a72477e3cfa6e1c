import { diffieHellman, ECDH, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readWhole } from '../asn1/reader.ts';
import { SequenceReader } from '../asn1/sequence-reader.ts';
import { bitString, sequence } from '../asn1/writer.ts';
import type { SealgateError } from '../errors.ts';
import { curveByName } from '../pki/curves.ts';
import { importPublicKey, oidEcPublicKey, parseSubjectPublicKeyInfo } from '../pki/public-key.ts';
import { decryptFailed, errorOf } from './failures.ts';

/**
 * The originator's public key of a key agreement (RFC 5753 §3.1.1): a stranger chose it.
 *
 * Must never happen: a private key is combined with a point of another curve, or with none at all; with enough such
 * results the private key is known (invalid-curve attack). So the point is checked here, whatever the token does.
 */

/** The recipient's public key, as a Certificate has it; `subjectPublicKeyInfo` is DER, with parameters. */
export type OwnPublicKey = { publicKey: KeyObject; subjectPublicKeyInfo: Buffer };

/**
 * @param own of the recipient's certificate
 * @param spki DER of SubjectPublicKeyInfo; parameters that are absent or NULL are those of `own` (RFC 5753 §3.1.1)
 * @returns the key, on the same curve as that of `own`
 * @throws SealgateError `key.decrypt-failed`
 */
export function readOriginatorKey(own: OwnPublicKey, spki: Uint8Array): KeyObject {
  let key: KeyObject;
  try {
    key = importPublicKey(withParameters(own, Buffer.from(spki)));
  } catch (cause) {
    throw mismatch(cause);
  }
  const mine = own.publicKey;
  if (
    key.asymmetricKeyType !== mine.asymmetricKeyType ||
    key.asymmetricKeyDetails?.namedCurve !== mine.asymmetricKeyDetails?.namedCurve
  ) {
    throw mismatch();
  }
  requireLargeOrder(key);
  return key;
}

/**
 * The public key as tokens want it, and the length of the shared secret in octets: the uncompressed point (SEC 1 §2.3.3), or
 * the octets of RFC 7748 §5.
 */
export function pointOf(key: KeyObject): { point: Buffer; octets: number } {
  const info = parseSubjectPublicKeyInfo(key.export({ type: 'spki', format: 'der' }));
  if (key.asymmetricKeyType === 'x25519' || key.asymmetricKeyType === 'x448') {
    return { point: info.subjectPublicKey, octets: info.subjectPublicKey.length };
  }
  const curve = curveByName(key.asymmetricKeyDetails?.namedCurve);
  if (curve === null) throw mismatch();
  const point = ECDH.convertKey(info.subjectPublicKey, curve.name, undefined, undefined, 'uncompressed');
  return { point: Buffer.from(point), octets: curve.octets };
}

/**
 * RFC 7748 §6.1: a point of small order gives zero with every private key, so any one shows it, and none of the recipient's
 * is needed.
 */
function requireLargeOrder(publicKey: KeyObject): void {
  const type = publicKey.asymmetricKeyType;
  if (type !== 'x25519' && type !== 'x448') return;
  try {
    const { privateKey } = type === 'x25519' ? generateKeyPairSync('x25519') : generateKeyPairSync('x448');
    diffieHellman({ privateKey, publicKey });
  } catch (cause) {
    throw mismatch(cause);
  }
}

function withParameters(own: OwnPublicKey, spki: Buffer): Buffer {
  const info = parseSubjectPublicKeyInfo(spki);
  const absent = info.parameters === null || info.parameters.equals(NULL);
  if (info.algorithm !== oidEcPublicKey || !absent) return spki;
  const ownInfo = new SequenceReader(readWhole(own.subjectPublicKeyInfo, 'DER'), 'DER');
  return sequence(ownInfo.next('algorithm').raw, bitString(info.subjectPublicKey));
}

const NULL = Buffer.from([5, 0]);

function mismatch(cause?: unknown): SealgateError {
  const error = errorOf(decryptFailed('originator key'));
  if (cause !== undefined) error.cause = cause;
  return error;
}
