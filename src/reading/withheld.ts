import type { Penalty } from './repeated-failures.ts';

/** Why a message is left out of an answer: a response code (RFC 5530, RFC 3516 §4.3) and words. */
export type Withheld = {
  code: 'UNAVAILABLE' | 'LIMIT' | 'SERVERBUG' | 'UNKNOWN-CTE';
  text: string;
  /** Whether it is for a key that is away for now. */
  key?: true;
  /** Where the client has asked for it before. */
  penalty?: Penalty;
};
