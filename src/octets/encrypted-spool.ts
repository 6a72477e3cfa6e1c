import type { Spool } from './source.ts';

export type EncryptedSpoolOptions = {
  /** Where files are; the system's folder for temporary files when absent. */
  folder?: string;
  /** What is not longer stays in memory. */
  memoryOctets?: number;
};

export function encryptedSpool(_options: EncryptedSpoolOptions = {}): Spool {
  throw new Error('not there yet');
}
