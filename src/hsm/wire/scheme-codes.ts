import type { DigestName, KeyTransportScheme, SignatureScheme } from '../../cms/keys.ts';
import { unreachable } from '../../errors.ts';

/** Schemes with their parameters as octets of a request (operation-frames.ts). Both ends are of one version: the numbers mean nothing else. */

const DIGESTS = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const satisfies readonly DigestName[];
const CURVES = ['Ed25519', 'Ed448'] as const;
const PARAMETER_SETS = ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const;
const SIGNATURES = { 'rsa-pkcs1': 0, 'rsa-pss': 1, ecdsa: 2, eddsa: 3, 'ml-dsa': 4 } as const;
const TRANSPORTS = { 'rsa-pkcs1': 0, 'rsa-oaep': 1 } as const;

/** Four octets: kind, digest or parameter set, length of the salt. */
export function signatureCode(scheme: SignatureScheme): Buffer {
  const code = Buffer.alloc(SIGNATURE_OCTETS);
  code[0] = SIGNATURES[scheme.kind];
  switch (scheme.kind) {
    case 'rsa-pss':
      code[1] = DIGESTS.indexOf(scheme.digest);
      code.writeUInt16BE(scheme.saltOctets, 2);
      return code;
    case 'rsa-pkcs1':
    case 'ecdsa':
      code[1] = DIGESTS.indexOf(scheme.digest);
      return code;
    case 'eddsa':
      code[1] = CURVES.indexOf(scheme.curve);
      return code;
    case 'ml-dsa':
      code[1] = PARAMETER_SETS.indexOf(scheme.parameterSet);
      return code;
    default:
      return unreachable(scheme);
  }
}

const SIGNATURE_OCTETS = 4;

/** @returns the scheme and how many octets it took; null: no scheme */
export function readSignature(from: Buffer): { scheme: SignatureScheme; octets: number } | null {
  if (from.length < SIGNATURE_OCTETS) return null;
  const scheme = signatureOf(from[0] ?? -1, from[1] ?? -1, from.readUInt16BE(2));
  return scheme === null ? null : { scheme, octets: SIGNATURE_OCTETS };
}

function signatureOf(kind: number, number: number, saltOctets: number): SignatureScheme | null {
  if (saltOctets !== 0 && kind !== SIGNATURES['rsa-pss']) return null;
  const digest = DIGESTS[number];
  switch (kind) {
    case SIGNATURES['rsa-pkcs1']:
      return digest === undefined ? null : { kind: 'rsa-pkcs1', digest };
    case SIGNATURES['rsa-pss']:
      return digest === undefined ? null : { kind: 'rsa-pss', digest, saltOctets };
    case SIGNATURES.ecdsa:
      return digest === undefined ? null : { kind: 'ecdsa', digest };
    case SIGNATURES.eddsa: {
      const curve = CURVES[number];
      return curve === undefined ? null : { kind: 'eddsa', curve };
    }
    case SIGNATURES['ml-dsa']: {
      const parameterSet = PARAMETER_SETS[number];
      return parameterSet === undefined ? null : { kind: 'ml-dsa', parameterSet };
    }
    default:
      return null;
  }
}

/** One octet; for OAEP digest, mask digest, the length of the label (4) and the label in addition. */
export function keyTransportCode(scheme: KeyTransportScheme): Buffer {
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      return Buffer.from([TRANSPORTS['rsa-pkcs1']]);
    case 'rsa-oaep': {
      const code = Buffer.alloc(OAEP_OCTETS);
      code[0] = TRANSPORTS['rsa-oaep'];
      code[1] = DIGESTS.indexOf(scheme.digest);
      code[2] = DIGESTS.indexOf(scheme.maskDigest);
      code.writeUInt32BE(scheme.label.length, 3);
      return Buffer.concat([code, scheme.label]);
    }
    default:
      return unreachable(scheme);
  }
}

const OAEP_OCTETS = 7;

/** @returns the scheme and how many octets it took; null: no scheme */
export function readKeyTransport(from: Buffer): { scheme: KeyTransportScheme; octets: number } | null {
  if (from[0] === TRANSPORTS['rsa-pkcs1']) return { scheme: { kind: 'rsa-pkcs1' }, octets: 1 };
  if (from[0] !== TRANSPORTS['rsa-oaep'] || from.length < OAEP_OCTETS) return null;
  const digest = DIGESTS[from[1] ?? -1];
  const maskDigest = DIGESTS[from[2] ?? -1];
  const octets = OAEP_OCTETS + from.readUInt32BE(3);
  if (digest === undefined || maskDigest === undefined || octets > from.length) return null;
  const label = from.subarray(OAEP_OCTETS, octets);
  return { scheme: { kind: 'rsa-oaep', digest, maskDigest, label }, octets };
}
