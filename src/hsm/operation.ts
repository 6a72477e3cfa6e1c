import { z } from 'zod';

/** One use of one private key, as it passes from the gateway to a key process. Nothing here is secret but what comes back. */

export const octets = z.custom<Uint8Array>((value) => value instanceof Uint8Array);
const digest = z.enum(['sha1', 'sha224', 'sha256', 'sha384', 'sha512']);

export const signatureScheme = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rsa-pkcs1'), digest }),
  z.object({ kind: z.literal('rsa-pss'), digest, saltOctets: z.number().int().nonnegative() }),
  z.object({ kind: z.literal('ecdsa'), digest }),
  z.object({ kind: z.literal('eddsa'), curve: z.enum(['Ed25519', 'Ed448']) }),
  z.object({ kind: z.literal('ml-dsa'), parameterSet: z.enum(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87']) }),
]);

export const keyTransportScheme = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rsa-pkcs1') }),
  z.object({ kind: z.literal('rsa-oaep'), digest, maskDigest: digest, label: octets }),
]);

export const operation = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('sign'),
    key: z.string(),
    scheme: signatureScheme,
    /** `digest` when the message was too long to be worth sending; for tokens only, and never with eddsa and ml-dsa. */
    input: z.enum(['message', 'digest']),
    data: octets,
  }),
  z.object({ kind: z.literal('decrypt'), key: z.string(), scheme: keyTransportScheme, encryptedKey: octets }),
  /**
   * `originator`: DER of SubjectPublicKeyInfo with its parameters, on the key's own curve. A stranger chose it: both sides
   * check that, whatever the token does (invalid-curve attack).
   */
  z.object({ kind: z.literal('agree'), key: z.string(), originator: octets }),
  z.object({ kind: z.literal('decapsulate'), key: z.string(), ciphertext: octets }),
]);

/** `key` is the SHA-256 of the SubjectPublicKeyInfo, hexadecimal: it survives restarts and is the same on every token. */
export type Operation = z.infer<typeof operation>;
