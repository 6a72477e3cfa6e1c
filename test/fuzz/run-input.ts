import { isDeepStrictEqual } from 'node:util';
import { SealgateError } from '../../src/errors.ts';
import type { FuzzTarget, PreparedTarget } from './target.ts';

/** One run of one input, and what must hold of it whatever the parser is. */

export type Misbehaviour = {
  kind: 'error' | 'slow' | 'input-changed' | 'other-answer';
  /** Tells one mistake from another. */
  key: string;
  text: string;
};

const PAGE = 65_536;

/** Memory in which inputs are laid at changing places, with octets around them that are not theirs. */
export class Arena {
  readonly #guard: number;
  #memory = Buffer.alloc(0);
  #shift = 0;

  constructor(guard: number) {
    this.#guard = guard;
  }

  lay(input: Uint8Array): Buffer {
    const needed = input.length + 32;
    if (this.#memory.length < needed) this.#memory = Buffer.alloc(Math.ceil(needed / PAGE) * PAGE);
    this.#shift = (this.#shift + 1) % 8;
    const start = 8 + this.#shift;
    this.#memory.fill(this.#guard, 0, start).fill(this.#guard, start + input.length, needed);
    this.#memory.set(input, start);
    return this.#memory.subarray(start, start + input.length);
  }
}

export class Runner {
  readonly #target: FuzzTarget;
  readonly #prepared: PreparedTarget;
  readonly #begins: (input: Buffer) => void;
  readonly #first = new Arena(0x30);
  readonly #second = new Arena(0x0a);
  readonly #timed = new Arena(0x20);
  /** Whether time is measured still: every further slow input would only cost time. */
  minded = true;

  /** @param begins called before each time that an input is read */
  constructor(target: FuzzTarget, prepared: PreparedTarget, begins: (input: Buffer) => void) {
    this.#target = target;
    this.#prepared = prepared;
    this.#begins = begins;
  }

  /**
   * @param again whether the same input is read twice and the answers are compared
   * @returns null: all is well
   */
  async run(input: Buffer, again: boolean): Promise<Misbehaviour | null> {
    const laid = this.#first.lay(input);
    const started = performance.now();
    const answer = await this.#answer(laid);
    const elapsed = performance.now() - started;
    if (answer.misbehaviour !== null) return answer.misbehaviour;
    if (!laid.equals(input)) {
      return { kind: 'input-changed', key: 'input-changed', text: 'the input was written to' };
    }
    const budget = budgetOf(this.#target, input.length);
    const least = this.minded && elapsed > budget ? await this.#leastTime(input, budget, elapsed) : elapsed;
    if (this.minded && least > budget) {
      const text = `${least.toFixed(0)} ms for ${input.length} octets, ${budget.toFixed(0)} ms allowed`;
      return { kind: 'slow', key: 'slow', text };
    }
    if (!again) return null;
    const repeated = await this.#answer(this.#second.lay(input));
    if (repeated.misbehaviour !== null) return repeated.misbehaviour;
    if (isDeepStrictEqual(answer.value, repeated.value)) return null;
    return {
      kind: 'other-answer',
      key: 'other-answer',
      text: 'the same octets elsewhere gave another answer',
    };
  }

  /**
   * Other programs want the processor too: what was slow counts only if this thread computes as long every time. What other
   * threads do for it does not hold up anybody else.
   */
  async #leastTime(input: Buffer, budget: number, elapsed: number): Promise<number> {
    let least = elapsed;
    for (let i = 0; i < 4 && least > budget; i++) {
      const laid = this.#timed.lay(input);
      const before = process.threadCpuUsage();
      await this.#answer(laid);
      const { user, system } = process.threadCpuUsage(before);
      least = Math.min(least, (user + system) / 1_000);
    }
    return least;
  }

  async #answer(input: Buffer): Promise<Answer> {
    this.#begins(input);
    try {
      const given = this.#prepared.run(input);
      return { value: given instanceof Promise ? await given : given, misbehaviour: null };
    } catch (error) {
      if (error instanceof SealgateError && isAllowed(this.#target, error.code)) {
        return { value: { refused: error.code }, misbehaviour: null };
      }
      return { value: null, misbehaviour: describe(error) };
    }
  }
}

export function budgetOf({ budget = { ms: 50, usPerOctet: 1 } }: FuzzTarget, octets: number): number {
  return budget.ms + (octets * budget.usPerOctet) / 1_000;
}

type Answer = { value: unknown; misbehaviour: Misbehaviour | null };

function isAllowed({ allowed }: FuzzTarget, code: string): boolean {
  return allowed.some((each) => (each.endsWith('.') ? code.startsWith(each) : code === each));
}

function describe(error: unknown): Misbehaviour {
  if (!(error instanceof Error)) return { kind: 'error', key: `thrown ${typeof error}`, text: String(error) };
  const place = /[^/(\s]+\/[^/\s]+\.[mc]?[jt]s:\d+/.exec(
    error.stack?.split('\n    at ').slice(1).join('\n') ?? '',
  )?.[0];
  const code = error instanceof SealgateError ? ` ${error.code}` : '';
  return {
    kind: 'error',
    key: `${error.name}${code} at ${place ?? 'an unknown place'}`,
    text: error.stack ?? `${error.name}: ${error.message}`,
  };
}
