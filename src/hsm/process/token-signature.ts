import { hash } from 'node:crypto';
import type pkcs11 from 'pkcs11js';
import { sequence, unsignedInteger } from '../../asn1/writer.ts';
import { FailureError, refused } from '../failures.ts';
import type { Operation } from '../operation.ts';
import { digestInfo } from './digest-info.ts';
import type { SigningWay } from './key-handle.ts';
import { pssMechanism } from './token-key-use.ts';

/** What C_SignInit and C_Sign are given for a scheme, and what becomes of the answer. */

type Sign = Extract<Operation, { kind: 'sign' }>;

export function signingInput(way: SigningWay, { input, data, scheme }: Sign): Buffer {
  if (way.input === 'message' || !('digest' in scheme)) return Buffer.from(data);
  const digest = input === 'digest' ? Buffer.from(data) : hash(scheme.digest, data, 'buffer');
  return way.input === 'digest-info' ? digestInfo(scheme.digest, digest) : digest;
}

export function signingMechanism({ mechanism, scheme }: SigningWay): pkcs11.Mechanism {
  return scheme.kind === 'rsa-pss' ? pssMechanism(mechanism, scheme) : { mechanism };
}

/** Ecdsa-Sig-Value (RFC 3279 §2.2.3) from r and s side by side (PKCS#11 v2.40, EC signatures). */
export function ecdsaSigValue(raw: Buffer): Buffer {
  if (raw.length === 0 || raw.length % 2 !== 0) {
    throw new FailureError(refused(`an ECDSA signature of ${raw.length} octets`));
  }
  const half = raw.length / 2;
  return sequence(unsignedInteger(raw.subarray(0, half)), unsignedInteger(raw.subarray(half)));
}
