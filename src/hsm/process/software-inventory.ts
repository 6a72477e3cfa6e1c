import type { Inventory } from '../inventory.ts';
import type { LoadedKey } from '../loaded-key.ts';
import type { SoftwareThreadKey } from './software-operations.ts';

/**
 * What a key process says about keys from files, and what its threads get. ML-DSA is among the schemes of such a key: whether
 * it may sign (`smime.postQuantum`) is the gateway's decision.
 */
export function softwareInventory(keys: readonly LoadedKey[]): {
  inventory: Inventory;
  threadKeys: SoftwareThreadKey[];
} {
  throw new Error(`${keys.length} keys`);
}
