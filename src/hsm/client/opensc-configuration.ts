import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where OpenSC looks when OPENSC_CONF does not say. */
const USUAL_PLACE = '/etc/opensc/opensc.conf';

/**
 * OpenSC lets a PUK set a new PIN only where its configuration says in which of three ways (user_pin_unblock_style); by default
 * none is allowed. Ours stands before the machine's own text and wins for this one setting; everything else stays as it was.
 */
const UNBLOCK_BY_SET_PIN =
  'app opensc-pkcs11 {\n\tpkcs11 {\n\t\tuser_pin_unblock_style = set_pin_in_unlogged_session;\n\t}\n}\n';

/**
 * A configuration for OpenSC in a folder of its own, for one request; it is gone when disposed of. To other modules the
 * variable means nothing.
 *
 * @param environment of the module, which may name a configuration already
 */
export async function openScConfiguration(
  environment: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { environment: Record<string, string> }> {
  const named = environment.OPENSC_CONF ?? process.env.OPENSC_CONF;
  const own = await readFile(named ?? USUAL_PLACE, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-opensc-'));
  const file = join(folder, 'opensc.conf');
  await writeFile(file, `${UNBLOCK_BY_SET_PIN}${own}`, { mode: 0o600 });
  return {
    environment: { OPENSC_CONF: file },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
