import type { Due, DueWork } from './ports.ts';

/** Of one node: what is written here is due here, and what commands beside it have written is looked for now and then. */
export class OwnWork implements DueWork {
  #told: ((due: readonly Due[] | null) => void) | null = null;
  #timer: NodeJS.Timeout | null = null;

  watch(told: (due: readonly Due[] | null) => void): void {
    this.#told = told;
    this.#timer = setInterval(() => told(null), LOOK_AGAIN_MS);
    told(null);
  }

  written(due: readonly Due[]): void {
    this.#told?.(due);
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#told = null;
  }
}

/** Commands beside the gateway write to the queue without telling it. */
const LOOK_AGAIN_MS = 10_000;
