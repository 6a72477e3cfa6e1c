import { flushCompileCache } from 'node:module';
import {
  isMainThread,
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  workerData,
} from 'node:worker_threads';
import { limits } from '../../limits.ts';
import { FailureError, unavailable } from '../failures.ts';
import type { Failure } from '../messages.ts';
import { BlockingFrames } from '../wire/blocking-frames.ts';
import { answerFrame, readRequest } from '../wire/operation-frames.ts';
import {
  type FromSessionThread,
  SESSION_THREAD,
  type SessionThreadData,
  type SessionWorker,
  type Work,
} from './session-messages.ts';

/**
 * A session thread of a key process: reads requests from its own pipe, does them one after another, writes the answers. It waits in
 * the read and has no event loop meanwhile, so nothing stands between the gateway and C_Sign.
 */
async function start(port: MessagePort, { kind, pipe }: SessionThreadData): Promise<void> {
  const begin =
    kind === 'token'
      ? (await import('./token-worker.ts')).beginTokenWork
      : (await import('./software-worker.ts')).beginSoftwareWork;
  // For the threads of the next process: this one will be killed before it would do so by itself.
  flushCompileCache();
  port.once('message', (work: Work) => {
    let worker: SessionWorker;
    try {
      worker = begin(work);
    } catch (error) {
      tell(port, { kind: 'unfit', failure: unfit(error) });
      return;
    }
    tell(port, { kind: 'ready' });
    const over = serve(new BlockingFrames(pipe, limits.keys.requestOctets), worker, port);
    if (over !== null) tell(port, { kind: 'over', failure: over });
  });
}

/**
 * @returns why nothing more can be done in this session; null: the gateway is gone
 * @throws what is a defect, and ends the process
 */
function serve(frames: BlockingFrames, worker: SessionWorker, port: MessagePort): Failure | null {
  for (;;) {
    const frame = frames.read();
    if (frame === null) return null;
    const request = readRequest(frame);
    if (request === null) throw new TypeError('a request that is not one');
    renew(worker, port);
    const { id, operation } = request;
    try {
      frames.write(answerFrame({ id, octets: worker.perform(operation) }));
    } catch (error) {
      if (!(error instanceof FailureError)) throw error;
      const { failure } = error;
      // The answer is the process's to give: it concerns all that is inside.
      if (failure.sessionLost || failure.code.startsWith('key.pin-')) return failure;
      frames.write(answerFrame({ id, failure }));
    }
  }
}

/** Keys that were changed before the gateway sent the request: they have arrived by now, though nothing has read them. */
function renew(worker: SessionWorker, port: MessagePort): void {
  for (;;) {
    const received: { message: Work } | undefined = receiveMessageOnPort(port);
    if (received === undefined) return;
    worker.renew(received.message);
  }
}

function tell(port: MessagePort, message: FromSessionThread): void {
  port.postMessage(message);
}

function unfit(error: unknown): Failure {
  if (error instanceof FailureError) return error.failure;
  const reason = error instanceof Error ? error.message : String(error);
  return unavailable('The token allows no session; close other programs that use it.', reason, true);
}

if (!isMainThread && parentPort !== null && (workerData as SessionThreadData).thread === SESSION_THREAD) {
  void start(parentPort, workerData as SessionThreadData);
}
