import type { DecryptionKey, SigningKey } from '../cms/keys.ts';
import { SealgateError, unreachable } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Secret } from '../log/secret.ts';
import { loadPemKey } from './files/pem-key.ts';
import { loadPkcs12 } from './files/pkcs12-key.ts';
import type { LiveKeys } from './keyring.ts';
import type { KnownKey } from './known-key.ts';
import { type LoadedKey, SoftwareKeys } from './software-key.ts';
import { openToken, type Token } from './token.ts';

/** Where keys come from, as the configuration names it. */
export type KeySource =
  | { name: string; kind: 'pkcs12'; file: string; password: Secret }
  | { name: string; kind: 'pem'; certificate: string; key: string; passphrase: Secret | null }
  | {
      name: string;
      kind: 'pkcs11';
      module: string;
      token: string;
      pin: Secret;
      environment: Readonly<Record<string, string>>;
    };

/** Every key of every source, ready for use. */
export interface KeySources extends LiveKeys {
  /** Logs out of tokens, ends key processes and threads. */
  close(): Promise<void>;
}

/**
 * Opens all sources. One that cannot be opened stops the start: an operator who reads the sentence now is better off than
 * a user who is refused later.
 *
 * @param options postQuantum: whether ML-DSA keys in files sign
 * @throws SealgateError of the source: `key.pin-incorrect`, `key.passphrase-incorrect`, `key.file-unreadable` …
 */
export async function openKeySources(
  sources: readonly KeySource[],
  log: Log,
  { postQuantum = false }: { postQuantum?: boolean } = {},
): Promise<KeySources> {
  const software = new SoftwareKeys({ postQuantum });
  const tokens: Token[] = [];
  const signing: SigningKey[] = [];
  const decryption: DecryptionKey[] = [];
  const take = (name: string, keys: readonly LoadedKey[]): void => {
    const signs = keys.flatMap((key) => software.signingKey(key) ?? []);
    const decrypts = keys.flatMap((key) => software.decryptionKey(key) ?? []);
    if (signs.length + decrypts.length === 0) throw useless(name, keys);
    signing.push(...signs);
    decryption.push(...decrypts);
  };
  const close = async () => {
    await Promise.all([...tokens.map((token) => token.close()), software.close()]);
  };
  try {
    for (const source of sources) {
      switch (source.kind) {
        case 'pkcs12':
          take(source.name, await loadPkcs12(source));
          break;
        case 'pem': {
          const { name, certificate: certificateFile, key: keyFile, passphrase } = source;
          take(name, await loadPemKey({ name, certificateFile, keyFile, passphrase }));
          break;
        }
        case 'pkcs11': {
          const { name, module, token, pin, environment } = source;
          tokens.push(await openToken({ name, module, token: { label: token }, pin, environment, log }));
          break;
        }
        default:
          return unreachable(source);
      }
    }
    return {
      signing: [...signing, ...tokens.flatMap((token) => token.signingKeys())].map(known),
      decryption: [...decryption, ...tokens.flatMap((token) => token.decryptionKeys())].map(known),
      version: 0,
      unseen: new Map(),
      status: sources.map(({ name }) => ({ name, places: [] })),
      onChange: () => undefined,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** These keys are always there and never change. */
function known<Key extends { label: string }>(key: Key): Key & KnownKey {
  const slash = key.label.indexOf('/');
  const source = slash < 0 ? key.label : key.label.slice(0, slash);
  const name = slash < 0 ? '' : key.label.slice(slash + 1);
  return Object.assign(key, { source, name, standing: 'open', use: null } as const);
}

/** A source that gives no key would be a login without one, which is said nowhere else as clearly. */
function useless(name: string, keys: readonly LoadedKey[]): SealgateError {
  const kinds = new Set(keys.map(({ privateKey }) => privateKey.asymmetricKeyType ?? 'unknown'));
  const waiting = [...kinds].every((kind) => kind.startsWith('ml-dsa'));
  return new SealgateError({
    code: 'key.useless',
    publicText: waiting
      ? `The key ${name} is for ML-DSA, which signs only with smime.postQuantum: true in the configuration.`
      : `The key ${name} is of a kind (${[...kinds].join(', ')}) that mail is neither signed nor encrypted with; configure another one.`,
    duration: 'permanent',
  });
}
