import type { DecryptionKey } from '../cms/keys.ts';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { type KeySourcesOptions, openKeySources } from '../hsm/key-sources.ts';
import { type KnownSigningKey, nearestFirst } from '../hsm/known-key.ts';
import type { KeySource, SecretSource } from '../hsm/source-kinds.ts';
import { silentLog } from '../log/log.ts';
import type { Certificate } from '../pki/certificate.ts';
import { refusedSecrets } from '../store/refused-secrets.ts';
import { openSqliteAsItIs } from '../store/sqlite.ts';

/** The private keys of a `smime` command: from a file, or those of the gateway's configuration by their name. */

export type KeyOptions = { key?: string; certificate?: string; passphraseFile?: string };

export type CommandKeys = {
  signing: readonly KnownSigningKey[];
  decryption: readonly DecryptionKey[];
  close(): Promise<void>;
};

const NO_KEYS: CommandKeys = { signing: [], decryption: [], close: async () => undefined };

/** @throws SealgateError of the file, the token or its PIN; `command.key` for a name that the configuration does not have */
export async function openCommandKeys(options: KeyOptions, config: Config | null): Promise<CommandKeys> {
  const { key } = options;
  const configured = config?.keys.filter(({ name }) => key === undefined || name === key) ?? [];
  if (config !== null && configured.length > 0) return await openConfigured(configured, config);
  return key === undefined ? NO_KEYS : await open([keyFile(key, options)], {});
}

/** A PIN that the gateway knows to be refused is not tried again by a command either. */
async function openConfigured(sources: readonly KeySource[], config: Config): Promise<CommandKeys> {
  const { postQuantum } = config.smime;
  if (sources.every(({ places }) => places.every(({ kind }) => kind !== 'token' && kind !== 'store'))) {
    return await open(sources, { postQuantum });
  }
  await using opened = new AsyncDisposableStack();
  const store = opened.adopt(await openSqliteAsItIs(config.directory.file), (one) => one.close());
  const keys = await open(sources, { postQuantum, refusals: refusedSecrets(store, () => new Date()) });
  const rest = opened.move();
  return {
    signing: keys.signing,
    decryption: keys.decryption,
    async close() {
      await keys.close();
      await rest.disposeAsync();
    },
  };
}

function open(sources: readonly KeySource[], options: Partial<KeySourcesOptions>): Promise<CommandKeys> {
  return openKeySources(sources, { log: silentLog, awaitRemovable: true, ...options });
}

function keyFile(file: string, { certificate, passphraseFile }: KeyOptions): KeySource {
  const secret = passphraseOf(passphraseFile);
  const place = /\.(?:p12|pfx)$/i.test(file)
    ? ({ kind: 'pkcs12', file, password: secret } as const)
    : ({ kind: 'pem', key: file, certificate: certificate ?? file, passphrase: secret } as const);
  return { name: file, use: 'sign-and-decrypt', usesPerMinute: null, places: [place] };
}

/** In the environment it is SEALGATE_PASSPHRASE; never on the command line, which every user of the machine can read. */
function passphraseOf(file: string | undefined): SecretSource | null {
  if (file !== undefined) return { file };
  return (process.env.SEALGATE_PASSPHRASE ?? '') === '' ? null : { env: 'SEALGATE_PASSPHRASE' };
}

/**
 * The key to sign with: of those that are there the newest that is valid, so that an expired one next to it in a file is in
 * nobody's way.
 *
 * @throws SealgateError `command.key`
 */
export function signingKeyOf(keys: CommandKeys, at: Date): KnownSigningKey {
  const valid = keys.signing.filter(({ certificate }) => isValid(certificate, at));
  valid.sort((one, other) => other.certificate.notBefore.getTime() - one.certificate.notBefore.getTime());
  const [newest] = valid.sort(nearestFirst);
  if (newest !== undefined) return newest;
  throw new SealgateError({
    code: 'command.key',
    duration: 'permanent',
    publicText:
      keys.signing.length === 0
        ? 'There is no key to sign with: name one with --key (a .p12, .pfx or PEM file, or the name of a key in the configuration).'
        : 'The certificate of the key is not valid today; renew it, or name another key with --key.',
  });
}

function isValid({ notBefore, notAfter }: Certificate, at: Date): boolean {
  return notBefore <= at && at <= notAfter;
}
