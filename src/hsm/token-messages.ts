import { z } from 'zod';

/**
 * Everything that may pass between the gateway and a key process, and between the key process and its threads.
 *
 * Both ends check what they receive against these schemas: a vendor module that scribbles over the channel ends
 * its own process and nothing else. The PIN is in `open` only, and nothing here ever carries a private key.
 */

const octets = z.custom<Uint8Array>((value) => value instanceof Uint8Array);
const id = z.number().int().nonnegative();
const digest = z.enum(['sha1', 'sha224', 'sha256', 'sha384', 'sha512']);

const signatureScheme = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rsa-pkcs1'), digest }),
  z.object({ kind: z.literal('rsa-pss'), digest, saltOctets: z.number().int().nonnegative() }),
  z.object({ kind: z.literal('ecdsa'), digest }),
  z.object({ kind: z.literal('eddsa'), curve: z.enum(['Ed25519', 'Ed448']) }),
  z.object({ kind: z.literal('ml-dsa'), parameterSet: z.enum(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87']) }),
]);

const keyTransportScheme = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rsa-pkcs1') }),
  z.object({ kind: z.literal('rsa-oaep'), digest, maskDigest: digest, label: octets }),
]);

const operation = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('sign'),
    key: z.string(),
    scheme: signatureScheme,
    /** `digest` when the message was too long to be worth sending. */
    input: z.enum(['message', 'digest']),
    data: octets,
  }),
  z.object({ kind: z.literal('decrypt'), key: z.string(), scheme: keyTransportScheme, encryptedKey: octets }),
  /** `point`: the originator's public point, uncompressed, already checked to be on the key's curve. */
  z.object({
    kind: z.literal('agree'),
    key: z.string(),
    point: octets,
    secretOctets: z.number().int().positive(),
  }),
]);

/** One use of a private key. `key` is the SHA-256 of its SubjectPublicKeyInfo, so that it survives a restart. */
export type Operation = z.infer<typeof operation>;

const tokenSelector = z.discriminatedUnion('by', [
  z.object({ by: z.literal('label'), label: z.string() }),
  z.object({ by: z.literal('serial'), serial: z.string() }),
]);

/** Slot numbers change between starts; labels and serial numbers do not. */
export type TokenSelector = z.infer<typeof tokenSelector>;

const open = z.object({
  kind: z.literal('open'),
  module: z.string(),
  token: tokenSelector,
  pin: z.string(),
  /** The token has accepted this PIN before: it may be sent although only one try is left. */
  pinProven: z.boolean(),
  threads: z.number().int().min(1).max(64),
  /** DER of certificates whose private keys are on the token while they themselves are not. */
  certificates: z.array(octets),
});

export type Open = z.infer<typeof open>;

const failure = z.object({
  code: z.string().regex(/^key\./),
  publicText: z.string(),
  duration: z.enum(['temporary', 'permanent']),
  reason: z.string(),
  /** The session with the token is gone: the process must start anew. */
  sessionLost: z.boolean(),
});

/** What becomes a SealgateError on the gateway's side. */
export type Failure = z.infer<typeof failure>;

const keyDescription = z.object({
  key: z.string(),
  label: z.string(),
  certificate: octets,
  canSign: z.boolean(),
  canDecrypt: z.boolean(),
  canAgree: z.boolean(),
});

/** A private key on the token together with one certificate for it. */
export type KeyDescription = z.infer<typeof keyDescription>;

const tokenDescription = z.object({
  label: z.string(),
  serial: z.string(),
  /** CKM numbers, for choosing schemes. */
  mechanisms: z.array(z.number()),
  keys: z.array(keyDescription),
  /** DER of every certificate on the token, for chains. */
  certificates: z.array(octets),
});

export type TokenDescription = z.infer<typeof tokenDescription>;

const toKeyProcess = z.discriminatedUnion('kind', [
  open,
  z.object({ kind: z.literal('perform'), id, operation }),
  z.object({ kind: z.literal('close') }),
]);

/** Gateway to key process. */
export type ToKeyProcess = z.infer<typeof toKeyProcess>;

const fromKeyProcess = z.discriminatedUnion('kind', [
  /** Sent before C_Login: if the process ends now, nobody knows whether the PIN cost a try. */
  z.object({ kind: z.literal('login-attempted') }),
  z.object({ kind: z.literal('opened'), token: tokenDescription }),
  z.object({ kind: z.literal('open-failed'), failure }),
  z.object({ kind: z.literal('done'), id, octets }),
  z.object({ kind: z.literal('failed'), id, failure }),
]);

/** Key process to gateway. */
export type FromKeyProcess = z.infer<typeof fromKeyProcess>;

/** null: not a message; the sender is broken and must be ended. */
export function parseToKeyProcess(value: unknown): ToKeyProcess | null {
  const parsed = toKeyProcess.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** null: not a message; the sender is broken and must be ended. */
export function parseFromKeyProcess(value: unknown): FromKeyProcess | null {
  const parsed = fromKeyProcess.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** First argument of a key process, so that importing its file elsewhere does nothing. */
export const KEY_PROCESS = 'sealgate-key-process';
