import type { ChildProcess } from 'node:child_process';
import { Duplex } from 'node:stream';
import type { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import { type FromKeyProcess, parseFromKeyProcess, type ToKeyProcess } from '../messages.ts';
import { ControlReader, controlFrame } from '../wire/control-frames.ts';
import { CONTROL_PIPE, pipeOf } from '../wire/pipes.ts';
import { SessionPipe } from './session-pipe.ts';

export type RunningKeyProcessEvents = {
  received(message: FromKeyProcess): void;
  answered(done: boolean): void;
  /** Once, and nothing after it: the process is gone or being killed. What was inside its sessions is still to be failed. */
  ended(reason: string): void;
};

/** How long what a process has said is read after its end, should something else hold its pipes open. Milliseconds. */
const LAST_WORDS = 200;

/**
 * One key process and its pipes. Everything that it says is checked; nonsense is the end of it.
 */
export class RunningKeyProcess {
  readonly #child: ChildProcess;
  readonly #control: Duplex;
  readonly #events: RunningKeyProcessEvents;
  readonly #reader = new ControlReader();
  readonly sessions: readonly SessionPipe[];
  #over = false;
  #timer: NodeJS.Timeout | null = null;
  #messages = { since: 0, count: 0 };

  /**
   * @param sessions how many session pipes the process was started with
   * @param operationTime milliseconds for one operation
   */
  constructor(child: ChildProcess, sessions: number, operationTime: number, events: RunningKeyProcessEvents) {
    this.#child = child;
    this.#events = events;
    this.#control = streamOf(child, CONTROL_PIPE);
    this.#control.on('data', (chunk: Buffer) => this.#receive(chunk));
    // The end of the process, which is noticed below.
    this.#control.on('error', () => undefined);
    this.sessions = Array.from(
      { length: sessions },
      (_, session) =>
        new SessionPipe(streamOf(child, pipeOf(session)), operationTime, {
          answered: (done) => {
            if (!this.#over) events.answered(done);
          },
          broken: (reason) => this.abandon(reason),
        }),
    );
    child.once('error', (error) => this.#end(error.message));
    child.once('exit', (code, signal) => {
      const reason = signal ?? `exit code ${code}`;
      // What it has said before is still in the pipes: above all whether the PIN was right.
      const timer = setTimeout(() => this.#end(reason), LAST_WORDS);
      child.once('close', () => {
        clearTimeout(timer);
        this.#end(reason);
      });
    });
  }

  /** null: it could not be started. */
  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  /** Requests inside all sessions. */
  get inside(): number {
    return this.sessions.reduce((sum, { inside }) => sum + inside, 0);
  }

  /** A pipe that is closing loses the message: the end of the process follows. */
  post(message: ToKeyProcess): void {
    if (!this.#over && this.#control.writable) this.#control.write(controlFrame(message));
  }

  /** It has to say something within this time. @param time milliseconds */
  expectWord(time: number, otherwise: string): void {
    this.expectNothing();
    this.#timer = setTimeout(() => this.abandon(otherwise), time);
  }

  /** It may be silent for as long as it likes. */
  expectNothing(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  failInside(error: SealgateError): void {
    for (const session of this.sessions) session.fail(error);
  }

  /** The process is no longer to be relied upon. */
  abandon(reason: string): void {
    this.#child.kill('SIGKILL');
    this.#end(reason);
  }

  /** Kills the process; nothing of it is told any more. */
  discard(): void {
    this.#over = true;
    this.expectNothing();
    this.#child.kill('SIGKILL');
  }

  /**
   * Waits until the process has ended, and kills it when it does not.
   *
   * @param grace milliseconds
   */
  async close(grace: number): Promise<void> {
    this.post({ kind: 'close' });
    this.#over = true;
    this.expectNothing();
    const child = this.#child;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), grace);
      child.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #receive(chunk: Buffer): void {
    for (const value of this.#reader.push(chunk) ?? [null]) {
      if (this.#over) return;
      const message = parseFromKeyProcess(value);
      if (message === null) this.abandon('a message that is not one');
      else if (this.#floods()) this.abandon('more messages than there is to say');
      else this.#events.received(message);
    }
  }

  #floods(): boolean {
    const now = performance.now();
    if (now - this.#messages.since > 1_000) this.#messages = { since: now, count: 0 };
    return ++this.#messages.count > limits.keys.controlMessagesPerSecond;
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.expectNothing();
    this.#events.ended(reason);
  }
}

/** Sockets, all of them; a child that could not be started has none. */
function streamOf(child: ChildProcess, number: number): Duplex {
  const stream = child.stdio[number];
  return stream instanceof Duplex ? stream : new Duplex({ read: () => undefined, write: () => undefined });
}
