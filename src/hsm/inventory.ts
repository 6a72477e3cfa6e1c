import { z } from 'zod';
import { octets, signatureScheme } from './operation.ts';

/** What a key process says about the keys it holds. Public, all of it. */

const ability = z.enum(['rsa-pkcs1', 'rsa-oaep', 'agree', 'decapsulate']);

const keyDescription = z.object({
  /** As in Operation. */
  key: z.string(),
  /** CKA_LABEL, friendlyName or the name in the key store; without the name of the source. May be empty. */
  label: z.string(),
  /** CKA_ID, hexadecimal; empty: none. */
  id: z.string(),
  /** DER. */
  certificate: octets,
  /** What it signs with, most preferred first; empty: it does not sign. Found out, not assumed: mechanisms, attributes. */
  schemes: z.array(signatureScheme),
  /** How it opens; empty: it does not. */
  opens: z.array(ability),
  /** CKA_ALWAYS_AUTHENTICATE: the PIN is needed for each use. */
  alwaysAuthenticate: z.boolean(),
});

/** A private key together with one certificate for it. */
export type KeyDescription = z.infer<typeof keyDescription>;
export type OpeningAbility = z.infer<typeof ability>;

export const inventory = z.object({
  /** null: files. */
  token: z
    .object({
      label: z.string(),
      serial: z.string(),
      model: z.string(),
      manufacturer: z.string(),
      reader: z.string(),
      /** What the token tells about the PIN (CK_TOKEN_INFO flags); it has no counter. */
      pin: z.enum(['none-needed', 'fine', 'count-low', 'final-try', 'locked', 'to-be-changed']),
    })
    .nullable(),
  keys: z.array(keyDescription),
  /** DER of every certificate there, for chains. */
  certificates: z.array(octets),
  /**
   * `after-login`: private keys seen with one's own eyes. `before-login`: read off the certificates on a token nobody has logged
   * in to yet; a key that turns out to be absent is refused when it is used.
   */
  seen: z.enum(['after-login', 'before-login']),
});

export type Inventory = z.infer<typeof inventory>;
