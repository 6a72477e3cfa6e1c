import type pkcs11 from 'pkcs11js';
import type { Inventory } from '../inventory.ts';
import type { ObjectSelector } from '../source-kinds.ts';
import type { KeyHandle } from './key-handle.ts';

/** What a token holds, for the gateway, and where each key is, for the threads. `handles` is empty before login. */
export type TokenObjects = { inventory: Inventory; handles: ReadonlyMap<string, KeyHandle> };

/**
 * Reads keys and certificates, and finds out what each key does.
 *
 * @param session any session with the token; logged in where `stage` says so
 * @param token what the inventory says about the token itself
 * @param additional DER of certificates that are not on the token
 * @param objects which keys are meant; certificates for chains are read whatever it says
 */
export function readObjects(
  _module: pkcs11.PKCS11,
  _session: Buffer,
  token: Inventory['token'],
  _additional: readonly Uint8Array[],
  _objects: ObjectSelector,
  stage: 'before-login' | 'after-login',
): TokenObjects {
  return { inventory: { token, keys: [], certificates: [], seen: stage }, handles: new Map() };
}
