import type { DecryptionKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import { openKeySources } from '../hsm/key-sources.ts';
import type { TokenSource } from '../hsm/source-kinds.ts';
import { silentLog } from '../log/log.ts';
import { printable } from '../log/printable.ts';

/**
 * A decryption key on a token that a key store is sealed to, used by its key process.
 *
 * @param label CKA_LABEL; null: the only one there that opens
 * @throws SealgateError of the token, `command.sealing-key`
 */
export async function openSealingKey(
  token: TokenSource,
  label: string | null,
): Promise<{ key: DecryptionKey; close(): Promise<void> }> {
  const sources = await openKeySources(
    [{ name: 'seal', use: 'decrypt', usesPerMinute: null, places: [token] }],
    {
      log: silentLog,
      awaitRemovable: true,
    },
  );
  const keys = sources.decryption.filter((key) => label === null || key.name === label);
  const [only, second] = keys;
  if (only !== undefined && second === undefined) return { key: only, close: () => sources.close() };
  await sources.close();
  const names = keys.map(({ name }) => `“${printable(name)}”`).join(', ');
  throw new SealgateError({
    code: 'command.sealing-key',
    duration: 'permanent',
    publicText:
      only === undefined
        ? 'The token has no key that opens mail and could open the key store; look with “sealgate token list”.'
        : `The token has several keys that could open the key store (${names}); name one with --label.`,
  });
}
