import { z } from 'zod';
import { octets } from './operation.ts';

/**
 * What passes between a command that manages a token and the process that does it: one request, what it says meanwhile, one
 * answer. No PIN, password or private key is in any of it: the request names where they are, and they are read over there.
 */

/** First argument of a token-management process, so that importing its file elsewhere does nothing. */
export const TOKEN_MANAGEMENT = 'sealgate-token-management';

const secretSource = z.union([z.object({ file: z.string() }), z.object({ env: z.string() })]);

/** `PinSource` of source-kinds.ts. */
const pinSource = z.union([
  secretSource,
  z.object({ ask: z.literal('pinentry'), program: z.string().nullable() }),
  z.object({ ask: z.literal('console') }),
]);

/** `TokenSelector` of source-kinds.ts. */
const tokenSelector = z.object({
  label: z.string().nullable(),
  serial: z.string().nullable(),
  model: z.string().nullable(),
  manufacturer: z.string().nullable(),
  reader: z.string().nullable(),
});

const keyType = z.enum(['rsa-2048', 'rsa-3072', 'rsa-4096', 'p-256', 'p-384', 'p-521', 'ed25519']);

/** Kinds of key that tokens generate. */
export type TokenKeyType = z.infer<typeof keyType>;
export const tokenKeyTypes: readonly TokenKeyType[] = keyType.options;

/** What the PIN of the user (or of the security officer) is like, from the flags of CK_TOKEN_INFO; there is no counter. */
const pinState = z.enum([
  'not-set',
  'none-needed',
  'fine',
  'count-low',
  'final-try',
  'locked',
  'to-be-changed',
]);
export type PinState = z.infer<typeof pinState>;

const login = z.object({
  pin: pinSource,
  /** A person has said that the last try may be used. */
  useLastTry: z.boolean(),
});

const request = z.discriminatedUnion('kind', [
  /** Readers, tokens, and what can be seen without a login. */
  z.object({ kind: z.literal('list') }),
  z.object({
    kind: z.literal('initialise'),
    /** CK_TOKEN_INFO.label: 1 to 32 octets of UTF-8. */
    label: z.string(),
    soPin: pinSource,
    userPin: pinSource,
    /** Everything on a token that is in use already is lost; without this it is refused. */
    erase: z.boolean(),
    useLastTry: z.boolean(),
  }),
  z.object({
    kind: z.literal('generate'),
    type: keyType,
    /** CKA_LABEL of both keys; refused where the token has a key of that name. */
    label: z.string(),
    /** CKA_EXTRACTABLE. */
    extractable: z.boolean(),
    login,
    /** RequestedSubject of pki/certificate-request.ts. */
    subject: z.object({
      commonName: z.string(),
      organization: z.string().optional(),
      organizationalUnit: z.string().optional(),
      country: z.string().optional(),
      addresses: z.array(z.string()),
      use: z.enum(['sign-and-decrypt', 'sign', 'decrypt']),
    }),
    /** null: a PKCS#10 request; else a certificate by the key itself, which is written to the token. */
    selfSignedDays: z.number().int().positive().nullable(),
  }),
  z.object({
    kind: z.literal('write-certificates'),
    /** DER; each goes next to the key on the token that it belongs to; others are refused unless `chain`. */
    certificates: z.array(octets),
    /** DER of CA certificates, written without a key. */
    chain: z.array(octets),
    login,
  }),
  z.object({
    kind: z.literal('import-keys'),
    source: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('pkcs12'), file: z.string(), password: pinSource.nullable() }),
      z.object({
        kind: z.literal('pem'),
        key: z.string(),
        certificate: z.string(),
        passphrase: pinSource.nullable(),
      }),
    ]),
    /** CKA_LABEL; null: the friendly name in the file, or the address in the certificate. */
    label: z.string().nullable(),
    extractable: z.boolean(),
    login,
  }),
  z.object({
    kind: z.literal('delete'),
    /** CKA_LABEL, exactly: keys and certificates of that name. */
    label: z.string(),
    login,
  }),
  z.object({ kind: z.literal('change-pin'), login, newPin: pinSource }),
  z.object({
    kind: z.literal('unblock-pin'),
    /** PIN of the security officer, or the card's PUK. */
    puk: pinSource,
    newPin: pinSource,
    useLastTry: z.boolean(),
  }),
]);

/** One thing to do with one module. */
export type ManagementRequest = z.infer<typeof request>;

const toManagement = z.object({
  kind: z.literal('request'),
  /** Absolute path of the PKCS#11 library. */
  module: z.string(),
  /** As in TokenSource; null: none. */
  initArgs: z.string().nullable(),
  token: tokenSelector,
  request,
});
export type ToManagement = z.infer<typeof toManagement>;

const certificateOnToken = z.object({
  /** CKA_LABEL and CKA_ID (hexadecimal); may be empty. */
  label: z.string(),
  id: z.string(),
  /** DER. */
  certificate: octets,
});

const publicKeyOnToken = z.object({ label: z.string(), id: z.string(), type: z.string() });

const tokenOnSlot = z.object({
  label: z.string(),
  serial: z.string(),
  model: z.string(),
  manufacturer: z.string(),
  initialised: z.boolean(),
  writeProtected: z.boolean(),
  loginRequired: z.boolean(),
  /** CKF_PROTECTED_AUTHENTICATION_PATH: the PIN is typed on the reader. */
  pinPad: z.boolean(),
  pin: pinState,
  soPin: pinState,
  /** Octets; 0: not told. */
  pinLength: z.object({ least: z.number(), most: z.number() }),
  /** By the list of mechanisms; whether a key may be used so is its own matter. */
  abilities: z.object({
    generates: z.array(keyType),
    signs: z.array(z.string()),
    opens: z.array(z.string()),
  }),
  certificates: z.array(certificateOnToken),
  publicKeys: z.array(publicKeyOnToken),
});

const slot = z.object({
  /** slotDescription: the name of the reader. */
  reader: z.string(),
  manufacturer: z.string(),
  removable: z.boolean(),
  /** `unknown`: something is in the reader that the module cannot talk to. */
  state: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('empty') }),
    z.object({ kind: z.literal('unknown'), reason: z.string() }),
    z.object({ kind: z.literal('token'), token: tokenOnSlot }),
  ]),
});

const moduleInfo = z.object({
  description: z.string(),
  manufacturer: z.string(),
  version: z.string(),
  cryptoki: z.string(),
});

const answer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('list'), module: moduleInfo, slots: z.array(slot) }),
  z.object({ kind: z.literal('initialise'), label: z.string(), serial: z.string() }),
  z.object({
    kind: z.literal('generate'),
    id: z.string(),
    /** DER of SubjectPublicKeyInfo. */
    publicKey: octets,
    /** DER; one of the two is null. */
    certificateRequest: octets.nullable(),
    certificate: octets.nullable(),
  }),
  z.object({ kind: z.literal('write-certificates'), written: z.number(), alreadyThere: z.number() }),
  z.object({
    kind: z.literal('import-keys'),
    keys: z.array(
      z.object({
        label: z.string(),
        id: z.string(),
        certificate: octets,
        /** DER of what the file has of its chain. */
        chain: z.array(octets),
        how: z.enum(['created', 'unwrapped', 'already-there']),
      }),
    ),
  }),
  z.object({ kind: z.literal('delete'), objects: z.number() }),
  z.object({ kind: z.literal('change-pin') }),
  z.object({ kind: z.literal('unblock-pin'), how: z.enum(['security-officer', 'puk']) }),
]);

export type ManagementAnswer = z.infer<typeof answer>;
export type AnswerTo<K extends ManagementRequest['kind']> = Extract<ManagementAnswer, { kind: K }>;
export type SlotDescription = z.infer<typeof slot>;
export type TokenOnSlot = z.infer<typeof tokenOnSlot>;
export type ModuleDescription = z.infer<typeof moduleInfo>;

const fromManagement = z.discriminatedUnion('kind', [
  /** A person is asked and has all the time there is: the watchdog sleeps. */
  z.object({ kind: z.literal('asking') }),
  /** The module is at work again; `text` is for the person who waits. */
  z.object({ kind: z.literal('working'), text: z.string() }),
  z.object({ kind: z.literal('answer'), answer }),
  z.object({
    kind: z.literal('failed'),
    code: z.string(),
    publicText: z.string(),
    duration: z.enum(['temporary', 'permanent']),
    reason: z.string(),
  }),
]);
export type FromManagement = z.infer<typeof fromManagement>;

/** null: not a message; the sender is broken and must be ended. */
export function parseToManagement(value: unknown): ToManagement | null {
  const parsed = toManagement.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** null: not a message; the sender is broken and must be ended. */
export function parseFromManagement(value: unknown): FromManagement | null {
  const parsed = fromManagement.safeParse(value);
  return parsed.success ? parsed.data : null;
}
