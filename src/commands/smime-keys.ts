import type { DecryptionKey, SigningKey } from '../cms/keys.ts';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { readPrivateFile } from '../hsm/files/private-file.ts';
import { type KeySource, openKeySources } from '../hsm/key-sources.ts';
import { silentLog } from '../log/log.ts';
import { Secret } from '../log/secret.ts';
import type { Certificate } from '../pki/certificate.ts';

/** The private keys of a `smime` command: from a file, or those of the gateway's configuration by their name. */

export type KeyOptions = { key?: string; certificate?: string; passphraseFile?: string };

export type CommandKeys = {
  signing: readonly SigningKey[];
  decryption: readonly DecryptionKey[];
  close(): Promise<void>;
};

const NO_KEYS: CommandKeys = { signing: [], decryption: [], close: async () => undefined };

/** @throws SealgateError of the file, the token or its PIN; `command.key` for a name that the configuration does not have */
export async function openCommandKeys(options: KeyOptions, config: Config | null): Promise<CommandKeys> {
  const { key } = options;
  if (key === undefined)
    return config === null ? NO_KEYS : openKeySources(config.keys, silentLog, config.smime);
  const configured = config?.keys.filter(({ name }) => name === key) ?? [];
  if (config !== null && configured.length > 0) return openKeySources(configured, silentLog, config.smime);
  return openKeySources([await keyFile(key, options)], silentLog);
}

async function keyFile(file: string, { certificate, passphraseFile }: KeyOptions): Promise<KeySource> {
  const passphrase = await passphraseOf(passphraseFile);
  if (/\.(?:p12|pfx)$/i.test(file)) {
    return { name: file, kind: 'pkcs12', file, password: passphrase ?? new Secret('') };
  }
  return { name: file, kind: 'pem', key: file, certificate: certificate ?? file, passphrase };
}

/** The first line. In the environment it is SEALGATE_PASSPHRASE; never on the command line, which every user of the machine can read. */
async function passphraseOf(file: string | undefined): Promise<Secret | null> {
  if (file !== undefined) {
    const text = (await readPrivateFile(file, 'owner-only')).toString('utf8');
    return new Secret(text.replace(/\r?\n[\s\S]*$/, ''));
  }
  const { SEALGATE_PASSPHRASE } = process.env;
  return SEALGATE_PASSPHRASE === undefined || SEALGATE_PASSPHRASE === ''
    ? null
    : new Secret(SEALGATE_PASSPHRASE);
}

/**
 * The key to sign with: the newest that is valid, so that an expired one next to it in a file is in nobody's way.
 *
 * @throws SealgateError `command.key`
 */
export function signingKeyOf(keys: CommandKeys, at: Date): SigningKey {
  const valid = keys.signing.filter(({ certificate }) => isValid(certificate, at));
  valid.sort((one, other) => other.certificate.notBefore.getTime() - one.certificate.notBefore.getTime());
  const [newest] = valid;
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
