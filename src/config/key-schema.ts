import * as z from 'zod';
import { SealgateError } from '../errors.ts';
import { parsePkcs11Uri } from '../hsm/pkcs11-uri.ts';
import { placeOf } from '../hsm/pkcs11-uri-place.ts';
import type { Files } from './files.ts';
import { resolveUnlocking } from './key-stores.ts';
import { sources } from './sources.ts';
import { cardPlace, tokenPlaces } from './token-places.ts';
import { keyName, maybe } from './values.ts';

/**
 * The section `keys`. Its output is the KeySource of src/hsm/source-kinds.ts, with `shared` for the checks between settings.
 * Nothing secret is in it: passwords and PINs are read by the key processes, here it is only looked whether they can be.
 */
export function keySection(files: Files) {
  const { path, secretSource, pinSource, unlock } = sources(files);

  const common = {
    use: z
      .enum(['sign-and-decrypt', 'sign', 'decrypt'])
      .default('sign-and-decrypt')
      .describe(
        'What the keys are for, within what their certificates allow. `decrypt` suits archived keys: they open old mail and sign nothing.',
      ),
    usesPerMinute: maybe(
      z.int().min(1).max(1_000_000).meta({
        description:
          'How often one key may be used in a minute, by everybody together. Further uses are refused for now. Without it there is no limit.',
        example: 600,
      }),
    ),
    shared: z
      .boolean()
      .default(false)
      .describe(
        'Several logins may have the same key of these: each can then read what is encrypted to the others. Without it that is an error where the key is on a card or a whole token, and a warning elsewhere.',
      ),
  };

  const label = (description: string, example: string) => limited(32).meta({ description, example });
  const serial = limited(16).meta({
    description: 'Serial number of the token, as `sealgate token list` shows it.',
    example: '1b5c666e155c6356',
  });
  const uri = (example: string) =>
    z
      .string()
      .transform((written, context) => {
        try {
          return placeOf(parsePkcs11Uri(written));
        } catch (error) {
          if (!(error instanceof SealgateError)) throw error;
          context.addIssue({ code: 'custom', message: error.publicText });
          return z.NEVER;
        }
      })
      .meta({
        description:
          'PKCS #11 URI (RFC 7512) in place of `token` and `serial`: names the token, and with `object` or `id` single keys on it; `module-path` and `pin-source=file:…` may stand in it too.',
        example,
        what: 'PKCS #11 URI',
      });
  const environment = z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string())
    .default({})
    .meta({
      description:
        "Environment variables for the vendor's library, such as where its own configuration is. Nothing else of the gateway's environment but locale and home reaches it.",
      example: { SOFTHSM2_CONF: '/etc/softhsm/softhsm2.conf' },
    });
  const initArgs = maybe(
    z.string().min(1).max(4096).meta({
      description: 'Text for C_Initialize, for the few libraries that are told by it where their keys are.',
      example: "configdir='sql:/var/lib/sealgate/nss'",
    }),
  );
  const certificates = z
    .array(path('file', 'PEM or DER file.', 'keys/alice.crt'))
    .prefault([])
    .meta({
      description:
        'Certificates (PEM or DER files) whose private keys are on the token while they themselves are not.',
      example: ['keys/alice.crt'],
    });
  const module = (description: string, example: string) => maybe(path('program-file', description, example));

  const pkcs12 = z
    .strictObject({
      name: keyName('alice'),
      kind: z.literal('pkcs12'),
      file: path('private-file', 'PKCS#12 file (.p12, .pfx) with key and chain.', 'keys/alice.p12'),
      password: secretSource('Password of the file.', 'keys/alice.password'),
      ...common,
    })
    .transform(({ kind, file, password, ...rest }) => ({
      ...rest,
      places: [{ kind, file, password }] as const,
    }))
    .describe('Keys in a PKCS#12 file.');

  const pem = z
    .strictObject({
      name: keyName('bob'),
      kind: z.literal('pem'),
      certificate: path('file', 'PEM file: the certificate first, then its chain.', 'keys/bob.crt'),
      key: path('private-file', 'PEM file with the private key.', 'keys/bob.key'),
      passphrase: maybe(
        secretSource('Passphrase of the private key, where it is encrypted.', 'keys/bob.passphrase'),
      ),
      ...common,
    })
    .transform(({ kind, certificate, key, passphrase, ...rest }) => ({
      ...rest,
      places: [{ kind, certificate, key, passphrase }] as const,
    }))
    .describe('A key in PEM files.');

  const store = z
    .strictObject({
      name: keyName('staff'),
      kind: z.literal('store'),
      folder: path(
        'private-folder',
        'Folder of the key store; `sealgate keys` makes and fills it.',
        '/var/lib/sealgate/keys',
      ),
      unlock: unlock(
        'What opens the store: a secret, or `{ key: NAME }` or `{ key: NAME/LABEL }` for an RSA key on a token, where NAME is an entry of `keys` with `kind: pkcs11`.',
        'keys/store.secret',
      ),
      ...common,
    })
    .transform(({ kind, folder, unlock: opener, ...rest }) => ({
      ...rest,
      places: [{ kind, folder, unlock: opener }] as const,
    }))
    .describe('Keys in a key store: a folder of key files, each encrypted.');

  const token = {
    token: maybe(label('Label of the token.', 'sealgate').meta({ shown: true })),
    serial: maybe(serial),
    uri: maybe(uri('pkcs11:token=sealgate;object=alice')),
    pin: maybe(
      pinSource(
        'User PIN of the token, read by its key process: from a file or the environment, or asked for when a key is first used.',
        { file: 'keys/hsm.pin' },
      ),
    ),
  };

  const pkcs11 = z
    .strictObject({
      name: keyName('hsm'),
      kind: z.literal('pkcs11'),
      module: module("The vendor's PKCS#11 library.", '/usr/lib/softhsm/libsofthsm2.so'),
      ...token,
      environment,
      initArgs,
      sessions: z
        .int()
        .min(1)
        .max(64)
        .default(4)
        .describe('How many operations the token does at the same time; what it is sized for.'),
      certificates,
      tokens: z
        .array(
          z.strictObject({ module: module('Where it is another one.', '/usr/lib/other-hsm.so'), ...token }),
        )
        .max(16)
        .prefault([])
        .meta({
          description:
            'In place of `token`, `serial` or `uri`: several tokens that hold the same keys. They share the load and stand in for each other. `module` and `pin` are those above unless they have their own.',
          off: true,
        }),
      ...common,
    })
    .transform((written, context) => {
      const { name, use, usesPerMinute, shared } = written;
      return { name, use, usesPerMinute, shared, places: tokenPlaces(written, files, context) };
    })
    .describe('Keys on a PKCS#11 token that is always there: a hardware security module.');

  const card = z
    .strictObject({
      name: keyName('alice-card'),
      kind: z.literal('card'),
      module: module(
        "The card's PKCS#11 library. Without it OpenSC's, where it is installed.",
        '/usr/lib/opensc-pkcs11.so',
      ),
      token: maybe(
        label('Label of the card. Without any of these four, whatever card is inserted.', 'ALICE'),
      ),
      serial: maybe(serial),
      reader: maybe(limited(64).meta({ description: 'Name of the reader.', example: 'ACS ACR38U 00 00' })),
      uri: maybe(uri('pkcs11:serial=1b5c666e155c6356')),
      pin: maybe(
        pinSource(
          'PIN of the card, forgotten when it is taken out. Without it `{ ask: pinentry }`: a window asks when a key is first used. A PIN from a file or the environment needs `token` or `serial`, so that it does not go to another card.',
          { ask: 'pinentry' },
        ),
      ),
      environment,
      initArgs,
      certificates,
      ...common,
    })
    .transform((written, context) => {
      const { name, use, usesPerMinute, shared } = written;
      return { name, use, usesPerMinute, shared, places: cardPlace(written, files, context) };
    })
    .describe('The keys of a card with a PIN, which comes and goes.');

  return z
    .array(z.discriminatedUnion('kind', [pkcs12, pem, store, pkcs11, card]))
    .transform(resolveUnlocking)
    .prefault([])
    .describe('Private keys and their certificates.');
}

/** Labels and serial numbers have fields of fixed size in PKCS#11. @param octets in UTF-8 */
function limited(octets: number) {
  return z
    .string({ error: 'text is expected: put it between quotation marks' })
    .min(1)
    .refine((text) => Buffer.byteLength(text) <= octets, {
      error: `this is longer than the ${octets} octets that tokens have for it`,
    });
}
