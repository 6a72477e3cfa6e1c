import type { PinSource } from '../source-kinds.ts';
import type { AskOptions, PinOutcome, PinPrompt } from './pin-prompt.ts';
import { readPin } from './read-pin.ts';

/** Nobody who said no is asked again before. Milliseconds. */
const PAUSE_AFTER_CANCEL_MS = 30_000;

export type PinDialogOptions = {
  source: PinSource;
  /** Milliseconds that never run backwards; performance.now when absent. */
  now?: () => number;
  read?: typeof readPin;
};

/**
 * The prompts of one token, in its key process. However many uses of keys wait, a person sees one prompt and all get its
 * answer; who said no is left alone for 30 seconds. A token that is taken out ends its key process, and with it this
 * memory: the next insertion asks again.
 */
export class PinDialog {
  readonly #source: PinSource;
  readonly #now: () => number;
  readonly #read: typeof readPin;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #running: Promise<PinOutcome> | null = null;

  constructor({ source, now = () => performance.now(), read = readPin }: PinDialogOptions) {
    this.#source = source;
    this.#now = now;
    this.#read = read;
  }

  /** True: a call of `ask` would show a prompt, or join one, rather than be refused for a while. */
  get mayAsk(): boolean {
    return this.#now() >= this.#pausedUntil;
  }

  /** Never rejects. Each caller gets a Buffer of its own and overwrites it. */
  async ask(prompt: PinPrompt, options: AskOptions = {}): Promise<PinOutcome> {
    if (this.#running !== null) return copyOf(await this.#running);
    if (!this.mayAsk) {
      const seconds = Math.ceil((this.#pausedUntil - this.#now()) / 1000);
      return {
        kind: 'cancelled',
        publicText: `The PIN was not typed; the question comes again in ${seconds} s, or when the card is inserted again.`,
      };
    }
    this.#running = this.#read(this.#source, prompt, options);
    try {
      const outcome = await this.#running;
      if (outcome.kind === 'cancelled') this.#pausedUntil = this.#now() + PAUSE_AFTER_CANCEL_MS;
      return outcome;
    } finally {
      this.#running = null;
    }
  }
}

function copyOf(outcome: PinOutcome): PinOutcome {
  return outcome.kind === 'pin' ? { ...outcome, pin: copied(outcome.pin) } : outcome;
}

/** Outside of the pool that small Buffers share. */
function copied(pin: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(pin.length);
  pin.copy(copy);
  return copy;
}
