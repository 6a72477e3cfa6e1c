import { Worker } from 'node:worker_threads';
import type { CardAnswer, CardCallMessage, CardCalls } from './card-calls.ts';

/** The test's end of the thread in card-thread.ts. */
export class CardWorker {
  readonly #worker = new Worker(new URL('./card-thread.ts', import.meta.url), { execArgv: [] });
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #nextId = 0;

  constructor() {
    this.#worker.on('message', (answer: CardAnswer) => {
      const call = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('error' in answer) call?.reject(new Error(`virtual card: ${answer.error}`));
      else call?.resolve(answer.value);
    });
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the thread of the virtual cards has ended')));
  }

  async call<Name extends keyof CardCalls>(
    name: Name,
    argument: Parameters<CardCalls[Name]>[0],
  ): Promise<ReturnType<CardCalls[Name]>> {
    const id = this.#nextId++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    this.#worker.postMessage({ id, name, argument } as CardCallMessage);
    // The thread answers each call with what its own signature says.
    return (await answer.promise) as ReturnType<CardCalls[Name]>;
  }

  async stop(): Promise<void> {
    await this.call('close', null);
    await this.#worker.terminate();
  }

  #fail(error: unknown): void {
    for (const call of this.#waiting.values()) call.reject(error);
    this.#waiting.clear();
  }
}
