import type { Config } from '../config/load.ts';
import type { KeyStore, StoredKey } from '../hsm/key-store/key-store.ts';
import { requestSchemeFor } from '../pki/certificate-request.ts';
import { certificateProblems } from './card-keys.ts';
import { hint, problem } from './card-problems.ts';
import { kindOf } from './key-kind.ts';
import { loginsWith } from './key-logins.ts';
import type { ListedKey, ListedSource } from './listed-keys.ts';

/** What a key store says of its keys, those that still wait for their certificates too. */
export async function listStore(
  store: KeyStore,
  { name, config, at }: { name: string; config: Config | null; at: Date },
): Promise<ListedSource> {
  const { keys, damaged } = await store.list();
  return {
    ...{ name, use: null, places: [`key store ${store.folder}`] },
    keys: keys.map((key) => listed(key, store.folder, { source: name, config, at })),
    problems: damaged.map(({ file, error }) =>
      problem(error.code, `${file} in ${store.folder}: ${error.publicText}`),
    ),
  };
}

function listed(
  key: StoredKey,
  folder: string,
  { source, config, at }: { source: string; config: Config | null; at: Date },
): ListedKey {
  const { name, certificate, publicKey, exportable, use } = key;
  const logins = config === null ? null : loginsWith(config, source, name);
  const waiting = hint(
    'key.no-certificate',
    'It waits for its certificate: give the one that was issued to “sealgate keys import”.',
  );
  const type = publicKey.asymmetricKeyType;
  const signs = use !== 'decrypt' && requestSchemeFor(publicKey) !== null;
  const opens = use !== 'sign' && (type === 'rsa' || type === 'ec' || type === 'x25519' || type === 'x448');
  return {
    name: config === null ? name : `${source}/${name}`,
    kind: kindOf({ publicKey }),
    certificate,
    signs: signs ? ['yes'] : [],
    opens: opens ? ['yes'] : [],
    exportable: exportable ? 'yes' : 'no',
    where: folder,
    logins,
    problems: certificate === null ? [waiting] : certificateProblems(certificate, logins, at),
  };
}
