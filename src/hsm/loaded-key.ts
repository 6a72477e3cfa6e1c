import type { KeyObject } from 'node:crypto';
import type { Certificate } from '../pki/certificate.ts';
import type { KeyUse } from './source-kinds.ts';

/** A private key in this process's memory with one certificate for it, as loaded from a file. Inside key processes and commands only. */
export type LoadedKey = {
  label: string;
  certificate: Certificate;
  /** Intermediates, nearest first; no root. */
  chain: readonly Certificate[];
  privateKey: KeyObject;
  /** What its owner allows; absent: all that the key can. */
  use?: KeyUse;
};
