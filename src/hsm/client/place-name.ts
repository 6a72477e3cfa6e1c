import type { SoftwareSource, TokenSource } from '../source-kinds.ts';

/** What a place is called in the log: the module, the file or the folder. */
export function nameOf(place: TokenSource | SoftwareSource): string {
  switch (place.kind) {
    case 'token':
      return place.module;
    case 'pkcs12':
      return place.file;
    case 'pem':
      return place.key;
    case 'store':
      return place.folder;
  }
}

/** The token of a place, or the one that a key store is sealed to; null: a secret opens it. */
export function tokenOf(place: TokenSource | SoftwareSource): TokenSource | null {
  if (place.kind === 'token') return place;
  return place.kind === 'store' && 'token' in place.unlock ? place.unlock.token : null;
}
