import { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { parseToManagement, TOKEN_MANAGEMENT } from '../management-messages.ts';
import { ControlReader, controlFrame } from '../wire/control-frames.ts';
import { CONTROL_PIPE } from '../wire/pipes.ts';
import { endProcess } from './end-process.ts';
import { TOKEN_MANAGEMENT_THREAD } from './management/management-thread.ts';

/**
 * One request to one PKCS#11 module, and then this process ends. The main thread never calls the module, so that the end of
 * whoever asked is noticed whatever the module is doing.
 */

function serve(control: Socket, message: unknown): void {
  const request = parseToManagement(message);
  if (request === null) {
    endProcess();
    return;
  }
  const worker = new Worker(
    new URL(import.meta.url.replace(/token-management(\.[jt]s)$/, 'management/management-thread$1')),
    { workerData: TOKEN_MANAGEMENT_THREAD },
  );
  // The one who asked checks it.
  worker.on('message', (answer: object) => control.write(controlFrame(answer)));
  worker.on('error', endProcess);
  worker.postMessage(request);
}

if (process.argv[2] === TOKEN_MANAGEMENT) {
  const control = new Socket({ fd: CONTROL_PIPE, readable: true, writable: true });
  const reader = new ControlReader();
  control.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk) ?? [null]) serve(control, message);
  });
  control.on('error', endProcess);
  control.on('close', endProcess);
}
