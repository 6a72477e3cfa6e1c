import type { SealgateError } from '../../errors.ts';

/** Callers who wait until the keys were read again; the next word of the process about it is for all of them. */
export class AwaitedReloads {
  #awaited: PromiseWithResolvers<void>[] = [];

  get any(): boolean {
    return this.#awaited.length > 0;
  }

  add(): Promise<void> {
    const reload = Promise.withResolvers<void>();
    this.#awaited.push(reload);
    return reload.promise;
  }

  /** @param error null: they were read */
  end(error: SealgateError | null): void {
    const awaited = this.#awaited;
    this.#awaited = [];
    for (const { resolve, reject } of awaited) {
      if (error === null) resolve();
      else reject(error);
    }
  }
}
