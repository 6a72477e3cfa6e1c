import { SealgateError } from '../../errors.ts';

/** What can be wrong with a key store. */

/** @param reason for the log: what was found and what was expected; nothing of the content */
export function malformedStore(file: string, reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'key.store-malformed',
    publicText: `${file} is damaged, was changed or does not belong here; put back the file as it was, from a backup.`,
    duration: 'permanent',
    reason,
    ...(cause === undefined ? {} : { cause }),
  });
}

export function storeAbsent(folder: string): SealgateError {
  return new SealgateError({
    code: 'key.store-absent',
    publicText: `${folder} holds no key store; correct the path, or make a store there.`,
    duration: 'permanent',
  });
}

export function storeNotEmpty(folder: string): SealgateError {
  return new SealgateError({
    code: 'key.store-not-empty',
    publicText: `${folder} is not empty; a new key store needs a folder of its own.`,
    duration: 'permanent',
  });
}

/** @param remedy a command to run, or what to do */
export function storePermissions(path: string, problem: string, remedy: string): SealgateError {
  return new SealgateError({
    code: 'key.store-permissions',
    publicText: `${path} ${problem}; ${remedy}.`,
    duration: 'permanent',
  });
}

export function storeUnreadable(path: string, cause: unknown): SealgateError {
  return new SealgateError({
    code: 'key.store-unreadable',
    publicText: `${path} cannot be read: ${systemCode(cause)}.`,
    duration: 'temporary',
    cause,
  });
}

export function storeUnwritable(path: string, cause: unknown): SealgateError {
  return new SealgateError({
    code: 'key.store-unwritable',
    publicText: `${path} cannot be written: ${systemCode(cause)}. Nothing was changed.`,
    duration: 'temporary',
    cause,
  });
}

export function storeBusy(folder: string): SealgateError {
  return new SealgateError({
    code: 'key.store-busy',
    publicText: `Another program is writing to the key store ${folder}; try again when it has finished.`,
    duration: 'temporary',
  });
}

export function storeSecretWeak(least: number): SealgateError {
  return new SealgateError({
    code: 'key.store-secret-weak',
    publicText: `The secret of a key store needs ${least} characters or more; make one with: openssl rand -base64 32.`,
    duration: 'permanent',
  });
}

export function storeSecretIncorrect(folder: string): SealgateError {
  return new SealgateError({
    code: 'key.passphrase-incorrect',
    publicText: `The secret does not open the key store ${folder}: it is another store's, or store.json was changed; correct the secret.`,
    duration: 'permanent',
  });
}

/** @param sealedTo what opens the store, for people */
export function storeOtherUnlock(folder: string, sealedTo: string): SealgateError {
  return new SealgateError({
    code: 'key.store-other-unlock',
    publicText: `The key store ${folder} is opened with ${sealedTo}, and with nothing else; correct how it is unlocked.`,
    duration: 'permanent',
  });
}

/** @param reason for the log */
export function storeKeyUnusable(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'key.store-key-unusable',
    publicText:
      'A key store cannot be sealed to this key: it opens nothing, or not what was sealed to it; choose a key for decryption.',
    duration: 'permanent',
    reason,
    ...(cause === undefined ? {} : { cause }),
  });
}

export function storeClosed(): SealgateError {
  return new SealgateError({
    code: 'key.store-closed',
    publicText: 'The key store was closed; open it again.',
    duration: 'permanent',
  });
}

export function unusableName(): SealgateError {
  return new SealgateError({
    code: 'key.store-name',
    publicText:
      'A key in the store has a name of 1 to 100 letters and digits of ASCII, dots, dashes and the characters _ @ +, and it begins with a letter or a digit; choose another one.',
    duration: 'permanent',
  });
}

export function nameTaken(name: string): SealgateError {
  return new SealgateError({
    code: 'key.store-name-taken',
    publicText: `The key store has a key ${name} already; choose another name, or remove that one first.`,
    duration: 'permanent',
  });
}

export function noSuchKey(name: string): SealgateError {
  return new SealgateError({
    code: 'key.store-no-such-key',
    // What is no name may be anything.
    publicText: `The key store has no key ${/^[!-~]{1,100}$/.test(name) ? name : 'of that name'}; list its keys to see their names.`,
    duration: 'permanent',
  });
}

export function noCertificateFor(name: string): SealgateError {
  return new SealgateError({
    code: 'key.no-certificate',
    publicText: `No certificate was given for the key ${name}; give the one that was issued for it.`,
    duration: 'permanent',
  });
}

export function notExportable(name: string): SealgateError {
  return new SealgateError({
    code: 'key.not-exportable',
    publicText: `The key ${name} was stored as not exportable; it is used where it is and given to nobody.`,
    duration: 'permanent',
  });
}

function systemCode(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : null;
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return 'the user this runs as may not do that';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'the disk is full';
    case 'EROFS':
      return 'the disk is read-only';
    default:
      return typeof code === 'string' ? code : 'an unexpected error';
  }
}
