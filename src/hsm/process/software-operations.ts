import type { KeyObject } from 'node:crypto';
import type { SignatureScheme } from '../../cms/keys.ts';
import type { OpeningAbility } from '../inventory.ts';
import type { Operation } from '../operation.ts';
import type { KeyOperator } from './key-operator.ts';

/** A private key as it is posted to a thread. */
export type SoftwareThreadKey = {
  /** As in Operation. */
  key: string;
  /** DER of one of its certificates. */
  certificate: Uint8Array;
  privateKey: KeyObject;
  schemes: readonly SignatureScheme[];
  opens: readonly OpeningAbility[];
};

/**
 * Uses keys in this process's memory. A signature needs the message: node:crypto signs no digest that was made elsewhere, so
 * `input: 'digest'` is refused, and whoever asks sends the message whenever `Inventory.token` is null.
 */
export function softwareOperator(keys: readonly SoftwareThreadKey[]): KeyOperator {
  return {
    perform(operation: Operation): Buffer {
      throw new Error(`${operation.kind} with ${keys.length} keys`);
    },
  };
}
