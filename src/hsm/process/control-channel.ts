import { Socket } from 'node:net';
import { type FromKeyProcess, parseToKeyProcess, type ToKeyProcess } from '../messages.ts';
import { ControlReader, controlFrame } from '../wire/control-frames.ts';
import { CONTROL_PIPE } from '../wire/pipes.ts';
import { endProcess } from './end-process.ts';

/** For words that the gateway does not take any more. Milliseconds. */
const LAST_WORDS = 1_000;

/** The key process's end of the control pipe. Only the gateway holds the other one: if it sends nonsense or goes, this process ends. */
export class ControlChannel {
  readonly #socket = new Socket({ fd: CONTROL_PIPE, readable: true, writable: true });
  readonly #reader = new ControlReader();

  listen(receive: (message: ToKeyProcess) => void, gone: () => void): void {
    this.#socket.on('data', (chunk: Buffer) => {
      for (const value of this.#reader.push(chunk) ?? [null]) {
        const message = parseToKeyProcess(value);
        if (message === null) endProcess();
        else receive(message);
      }
    });
    this.#socket.on('error', gone);
    this.#socket.on('close', gone);
  }

  send(message: FromKeyProcess): void {
    this.#socket.write(controlFrame(message));
  }

  /** The process ends with this. */
  sendLast(message: FromKeyProcess): void {
    setTimeout(endProcess, LAST_WORDS);
    this.#socket.write(controlFrame(message), endProcess);
  }
}
