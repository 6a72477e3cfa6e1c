import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { vi } from 'vitest';
import { SessionPipe } from '../../../src/hsm/client/session-pipe.ts';
import { KEY_PROCESS } from '../../../src/hsm/wire/pipes.ts';
import { stopProcess } from '../../support/stop-process.ts';

/** When the key process is killed. Requests are counted from 1; none of these is a time. */
export type Moment =
  /** As soon as the command is sent: the gateway has not read it. */
  | { at: 'command' }
  /** So many turns of the event loop later. */
  | { at: 'turn'; turns: number }
  /** Just before the nth request is written to it. */
  | { at: 'before-request'; nth: number }
  /** When the nth request is written to it, and may be read, done or answered. */
  | { at: 'behind-request'; nth: number }
  /** While it has the nth request and cannot answer. */
  | { at: 'inside-request'; nth: number }
  /** When its nth answer has come. */
  | { at: 'answer'; nth: number }
  /** When the client has so many octets of the answer. */
  | { at: 'octets'; count: number };

/**
 * Kills the key process of a gateway in this process, of which there is one, at a certain moment of a command.
 *
 * Holds: of each `arm` there is one kill at most, `disarm` says whether there was.
 */
export class KeyProcessKiller {
  #moment: Moment | null = null;
  #requests = 0;
  #answers = 0;
  #octets = 0;
  #killed = false;
  #undo: (() => void) | null = null;

  constructor() {
    const killer = this;
    const send = SessionPipe.prototype.send;
    vi.spyOn(SessionPipe.prototype, 'send').mockImplementation(function (this: SessionPipe, request) {
      const nth = ++killer.#requests;
      const moment = killer.#moment;
      const counted = moment !== null && 'nth' in moment && moment.nth === nth ? moment.at : null;
      if (counted === 'before-request') killer.#kill();
      const isStopped = counted === 'inside-request' && stopped();
      send.call(this, {
        ...request,
        resolve(octets) {
          const now = killer.#moment;
          if (now?.at === 'answer' && now.nth === ++killer.#answers) killer.#kill();
          request.resolve(octets);
        },
      });
      if (isStopped || counted === 'behind-request') killer.#kill();
    });
  }

  /** Before the command is sent; for `command` and `turn` it is sent in the same turn. */
  arm(moment: Moment, socket: Socket): void {
    this.#moment = moment;
    this.#requests = 0;
    this.#answers = 0;
    this.#octets = 0;
    this.#killed = false;
    const count = (chunk: Buffer): void => {
      this.#octets += chunk.length;
      if (this.#moment?.at === 'octets' && this.#octets >= this.#moment.count) this.#kill();
    };
    socket.on('data', count);
    this.#undo = () => socket.off('data', count);
    if (moment.at === 'command') queueMicrotask(() => this.#kill());
    if (moment.at === 'turn') this.#turn(moment, moment.turns);
  }

  /** false: the moment did not come. */
  disarm(): boolean {
    this.#moment = null;
    this.#undo?.();
    this.#undo = null;
    return this.#killed;
  }

  #turn(moment: Moment, left: number): void {
    if (this.#moment !== moment) return;
    if (left === 0) this.#kill();
    else setImmediate(() => this.#turn(moment, left - 1));
  }

  #kill(): void {
    this.#moment = null;
    this.#killed = killed();
  }
}

/** false: there is no key process now. */
function stopped(): boolean {
  const pids = keyProcesses();
  for (const pid of pids) stopProcess(pid);
  return pids.length > 0;
}

/** false: there is no key process now. */
function killed(): boolean {
  const pids = keyProcesses();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  return pids.length > 0;
}

/** Children of this process that hold keys, and live. */
function keyProcesses(): number[] {
  return readdirSync('/proc')
    .filter((each) => /^[0-9]+$/.test(each))
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const mine = Number(parent) === process.pid && state !== 'Z';
        return mine && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(KEY_PROCESS)
          ? [Number(pid)]
          : [];
      } catch {
        // Processes end while they are listed.
        return [];
      }
    });
}
