import type { DecryptionKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { Clock, Patience } from './ports.ts';

/** A key that was waited for as long as this, in vain, is not waited for again by the same reader's command. */
const LONG_MS = 1_000;

/**
 * Keys as a reader waits for them: not beyond the moment at which nobody wants the mail any more, and not twice for a PIN
 * that was not typed.
 *
 * Holds: an operation that is not waited for any longer is `key.unavailable`, and nothing is learnt of the mail by it.
 */
export function patientKeys(
  keys: readonly DecryptionKey[],
  patience: Patience | undefined,
  clock: Clock,
): readonly DecryptionKey[] {
  if (patience === undefined) return keys;
  return keys.map((key) => {
    const use = (operation: () => Promise<Buffer>) => {
      if (patience.openKeysOnly === true && key.isOpen === false) return Promise.reject(notWaitedFor());
      return patiently(key.label, operation, patience, clock);
    };
    const { label, certificate, readsOaep = true } = key;
    return {
      ...{ label, certificate, readsOaep },
      decryptKey: (scheme, encryptedKey) => use(() => key.decryptKey(scheme, encryptedKey)),
      agree: (originator) => use(() => key.agree(originator)),
      decapsulate: (ciphertext) => use(() => key.decapsulate(ciphertext)),
    };
  });
}

async function patiently(
  label: string,
  operation: () => Promise<Buffer>,
  { signal, exhausted, atKey }: Patience,
  clock: Clock,
): Promise<Buffer> {
  const known = exhausted.get(label);
  if (known !== undefined) throw known;
  if (signal.aborted) throw notWaitedFor();
  const began = clock().getTime();
  let abandon: () => void = () => undefined;
  const abandoned = new Promise<never>((_resolve, reject) => {
    abandon = () => reject(notWaitedFor());
    signal.addEventListener('abort', abandon);
  });
  atKey?.(true);
  try {
    return await Promise.race([operation(), abandoned]);
  } catch (error) {
    const isLong = clock().getTime() - began >= LONG_MS;
    if (error instanceof SealgateError && isInVain(error, isLong)) exhausted.set(label, error);
    throw error;
  } finally {
    atKey?.(false);
    signal.removeEventListener('abort', abandon);
  }
}

function isInVain({ code, duration }: SealgateError, isLong: boolean): boolean {
  return code.startsWith('key.pin-') || (isLong && duration === 'temporary');
}

function notWaitedFor(): SealgateError {
  return new SealgateError({
    code: 'key.unavailable',
    duration: 'temporary',
    publicText: 'The key of this message was not there in time. Open the message again.',
    reason: 'not waited for any longer',
  });
}
