import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { awaitListening } from '../bench/relay/load.ts';

/** A program that is killed and started again, always with the same ports and files. */
export class Restartable {
  readonly name: string;
  readonly #command: readonly string[];
  readonly #port: number;
  #child: ChildProcess | null = null;
  #output = '';

  /** @param port where it answers once it is there */
  constructor(name: string, command: readonly string[], port: number) {
    this.name = name;
    this.#command = command;
    this.#port = port;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** What it has printed since it was started last. */
  get output(): string {
    return this.#output;
  }

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
      throw new Error(`${this.name} ended by itself: ${this.#output}`);
    });
    ended.catch(() => undefined);
    await Promise.race([awaitListening(this.#port), ended]);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'close');
    child.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'close');
    child.kill('SIGTERM');
    await gone;
  }
}
