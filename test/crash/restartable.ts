import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { awaitListening } from '../bench/relay/load.ts';

/** Two minutes and more: a gateway waits a minute for its database. */
const ATTEMPTS = 24_000;

/** A program that is killed and started again, always with the same ports and files. */
export class Restartable {
  readonly name: string;
  readonly #command: readonly string[];
  readonly #port: number;
  readonly #byItself = Promise.withResolvers<never>();
  #child: ChildProcess | null = null;
  /** Whose end was asked for. */
  #ending: ChildProcess | null = null;
  #output = '';

  /** @param port where it answers once it is there */
  constructor(name: string, command: readonly string[], port: number) {
    this.name = name;
    this.#command = command;
    this.#port = port;
    this.#byItself.promise.catch(() => undefined);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Rejects, with what it has printed last, where it ends and nobody has killed or stopped it. */
  get endedByItself(): Promise<never> {
    return this.#byItself.promise;
  }

  /** Resolves when it answers. @throws Error where it ends before, killed or by itself */
  async start(): Promise<void> {
    const [program = '', ...args] = this.#command;
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text: Buffer) => {
        this.#output = (this.#output + text.toString('latin1')).slice(-20_000);
      });
    }
    const ended = once(child, 'close').then(() => {
      if (child === this.#ending) throw new Error(`${this.name} was ended`);
      const error = new Error(`${this.name} ended by itself: ${this.#output}`);
      this.#byItself.reject(error);
      throw error;
    });
    ended.catch(() => undefined);
    await Promise.race([awaitListening(this.#port, ATTEMPTS), ended]);
  }

  /** SIGKILL; resolves when it has ended. false: it does not run. */
  kill(): Promise<boolean> {
    return this.#end('SIGKILL');
  }

  /** SIGTERM; resolves when it has ended. false: it does not run. */
  stop(): Promise<boolean> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<boolean> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return false;
    this.#ending = child;
    const gone = once(child, 'close');
    child.kill(signal);
    await gone;
    return true;
  }
}
