import { timingSafeEqual } from 'node:crypto';
import { SealgateError, unreachable } from '../../../errors.ts';
import type { FromManagement } from '../../management-messages.ts';
import type { PinPrompt } from '../../pin/pin-prompt.ts';
import { readPin } from '../../pin/read-pin.ts';
import type { PinSource } from '../../source-kinds.ts';

/** How long somebody has to type; the person sits in front of the command that asks. */
const TYPING_MS = 10 * 60_000;

type NewSecretPrompt = Extract<PinPrompt, { purpose: 'new-pin' | 'new-officer-pin' }>;

/** Whoever runs the command: is asked for PINs, and told what goes on. */
export class Person {
  readonly #tell: (message: FromManagement) => void;

  constructor(tell: (message: FromManagement) => void) {
    this.#tell = tell;
  }

  /** One line on what the module is about to do; it may take long. */
  working(text: string): void {
    this.#tell({ kind: 'working', text });
  }

  /**
   * A PIN or password, once.
   *
   * @returns UTF-8; pkcs11js takes PINs as strings, which cannot be overwritten: this process ends with its one request
   * @throws SealgateError `key.pin-needed`
   */
  async secret(source: PinSource, prompt: PinPrompt): Promise<string> {
    const pin = await this.#read(source, prompt);
    try {
      return pin.toString('utf8');
    } finally {
      pin.fill(0);
    }
  }

  /**
   * A PIN that is to be set; asked for twice where it is typed.
   *
   * @throws SealgateError `key.pin-needed`, `key.pin-differs`
   */
  async newSecret(source: PinSource, prompt: NewSecretPrompt): Promise<string> {
    const first = await this.#read(source, { ...prompt, again: false });
    if (!('ask' in source)) return first.toString('utf8');
    const second = await this.#read(source, { ...prompt, again: true });
    try {
      if (first.length !== second.length || !timingSafeEqual(first, second)) throw different();
      return first.toString('utf8');
    } finally {
      first.fill(0);
      second.fill(0);
    }
  }

  async #read(source: PinSource, prompt: PinPrompt): Promise<Buffer> {
    if ('ask' in source) this.#tell({ kind: 'asking' });
    const outcome = await readPin(source, prompt, { timeoutMs: TYPING_MS });
    switch (outcome.kind) {
      case 'pin':
        return outcome.pin;
      case 'cancelled':
      case 'unanswered':
      case 'unavailable':
        throw new SealgateError({
          code: 'key.pin-needed',
          duration: 'permanent',
          publicText: outcome.publicText,
        });
      default:
        return unreachable(outcome);
    }
  }
}

function different(): SealgateError {
  return new SealgateError({
    code: 'key.pin-differs',
    duration: 'permanent',
    publicText: 'The two entries are not the same; nothing was changed. Start again.',
  });
}
