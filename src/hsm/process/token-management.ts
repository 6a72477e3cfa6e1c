import { Worker } from 'node:worker_threads';
import { parseToManagement, TOKEN_MANAGEMENT } from '../management-messages.ts';
import { TOKEN_MANAGEMENT_THREAD } from './management/management-thread.ts';

/**
 * One request to one PKCS#11 module, and then this process ends. The main thread never calls the module, so that the end of
 * whoever asked is noticed whatever the module is doing.
 */

function serve(message: unknown): void {
  const request = parseToManagement(message);
  if (request === null) {
    end(1);
    return;
  }
  const worker = new Worker(
    new URL(import.meta.url.replace(/token-management(\.[jt]s)$/, 'management/management-thread$1')),
    { workerData: TOKEN_MANAGEMENT_THREAD },
  );
  // The one who asked checks it. A channel that is closed shows as `disconnect`.
  worker.on('message', (answer: unknown) => {
    if (process.connected) process.send?.(answer, undefined, {}, () => undefined);
  });
  worker.on('error', () => end(1));
  worker.postMessage(request);
}

/** Not process.exit: that waits for threads, and one may be inside a module that never returns. */
function end(code: number): void {
  process.exitCode = code;
  process.kill(process.pid, 'SIGKILL');
}

if (process.argv[2] === TOKEN_MANAGEMENT && process.send !== undefined) {
  process.once('message', serve);
  process.on('disconnect', () => end(0));
}
