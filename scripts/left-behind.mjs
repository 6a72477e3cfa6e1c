import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * The processes that have to do with a folder: named in their command line or environment, or their working folder.
 * Linux only (proc(5)); elsewhere it finds none.
 *
 * @param {string} folder
 * @returns {{ pid: number, command: string }[]}
 */
export function processesUsing(folder) {
  const found = [];
  for (const name of readNames('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const command = read(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
    const environment = read(() => readFileSync(`/proc/${pid}/environ`, 'latin1'));
    const workingFolder = read(() => readlinkSync(`/proc/${pid}/cwd`));
    if ([command, environment, workingFolder].some((text) => text.includes(folder))) {
      found.push({ pid, command: command.replaceAll('\0', ' ').trim() });
    }
  }
  return found;
}

/** Ends exactly these processes, the patient way first. */
export async function endProcesses(processes) {
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    for (const { pid } of processes) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    }
    for (let wait = 0; wait < 100 && processes.some(({ pid }) => isRunning(pid)); wait++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function isRunning(pid) {
  const stat = read(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  return stat !== '' && !/\) [ZX] /.test(stat);
}

function readNames(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** A process may end, or belong to somebody else, while it is looked at. */
function read(look) {
  try {
    return look();
  } catch {
    return '';
  }
}
