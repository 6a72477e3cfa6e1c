import { inspect } from 'node:util';

/**
 * A value that must not be printed. It shows as `[secret]` in strings, JSON and `util.inspect`;
 * only `reveal()` gives it away, so every place that uses a secret can be found by that word.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
