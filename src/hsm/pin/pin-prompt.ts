import type { Inventory } from '../inventory.ts';

/** What the token tells about its PIN (CK_TOKEN_INFO flags). */
export type PinTries = NonNullable<Inventory['token']>['pin'];

/**
 * What a person is asked for, and why. Whatever a token says of itself (its label) was written by whoever made the card: it is
 * shown as plain text and obeyed by nobody.
 */
export type PinPrompt =
  /** The user PIN: to sign and decrypt (`log-in`), for one use of a key (CKA_ALWAYS_AUTHENTICATE), or before it is changed. */
  | { purpose: 'log-in' | 'change-pin'; token: PromptToken; previousError: string | null }
  | { purpose: 'use-key'; key: string; token: PromptToken; previousError: string | null }
  /** The security officer's PIN; with OpenSC the PUK. */
  | { purpose: 'unblock-pin' | 'initialise'; token: PromptToken; previousError: string | null }
  /** A PIN that is to be set. `again`: the second time, to find slips of the finger. */
  | {
      purpose: 'new-pin' | 'new-officer-pin';
      again: boolean;
      token: PromptToken;
      previousError: string | null;
    }
  /** Of a file: `open` an existing one, `set` a new one. */
  | { purpose: 'password'; action: 'open' | 'set' | 'set-again'; file: string; previousError: string | null };

export type PromptToken = {
  label: string;
  serial: string;
  /** Name of the reader; empty: unknown. */
  reader: string;
  tries: PinTries;
};

/** How a prompt ended. `publicText` is a sentence with the next step; no outcome but `pin` has anything of what was typed. */
export type PinOutcome =
  /** UTF-8, not empty, without line end. Whoever gets it overwrites it (`fill(0)`) when it was used. */
  | { kind: 'pin'; pin: Buffer; identity: SecretIdentity | null }
  /** A person said no. */
  | { kind: 'cancelled'; publicText: string }
  /** Nobody answered in time; or the caller's signal came. */
  | { kind: 'unanswered'; publicText: string }
  /** There is no way to ask, or no secret where it should be. `permanent`: until a person changes something. */
  | { kind: 'unavailable'; publicText: string; duration: 'temporary' | 'permanent' };

/**
 * Which version of a secret this is, without a hint at what it is: equal means the same file, untouched. A refused one is not tried
 * again until it differs. null in a PinOutcome: a person typed it, so the next one is another.
 */
export type SecretIdentity = string;

export type AskOptions = {
  /** Ends the prompt: the token was taken out, the process closes. */
  signal?: AbortSignal;
  /** How long a person has; 60,000 when absent. */
  timeoutMs?: number;
};
