import { readdirSync, readFileSync } from 'node:fs';

/**
 * SIGSTOP, and until no thread of the process runs any longer: the signal alone returns before. In one go, so that nothing else of this
 * process happens in between. SIGCONT and SIGKILL are its ends.
 *
 * @throws Error where there is no such process
 */
export function stopProcess(pid: number): void {
  if (pid <= 0) throw new Error('no process, but a group of them');
  process.kill(pid, 'SIGSTOP');
  while (!everyThread(pid)) Atomics.wait(MOMENT, 0, 0, 1);
}

const MOMENT = new Int32Array(new SharedArrayBuffer(4));

function everyThread(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).every((task) => {
    try {
      const stat = readFileSync(`${tasks}/${task}/stat`, 'latin1');
      // Behind the name, which may be anything.
      return /^ [TtZX] /.test(stat.slice(stat.lastIndexOf(')') + 1));
    } catch {
      // A thread that ends meanwhile does not run.
      return true;
    }
  });
}
