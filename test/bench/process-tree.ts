import { readdir, readFile } from 'node:fs/promises';

/** Clock ticks a second, as Linux reports process times: fixed at 100 on every architecture Node runs on. */
const TICKS = 100;

type Process = { pid: number; parent: number; ticks: number };

/**
 * User and system seconds that the process and all its descendants have used, ended and reaped children included.
 * Read twice around a round, the difference is the round's cost.
 */
export async function treeCpuSeconds(root: number): Promise<number> {
  const all = await processes();
  const members = new Set([root]);
  // Parents can have a higher pid than their children; repeat until nothing is added.
  for (let before = 0; before !== members.size; ) {
    before = members.size;
    for (const { pid, parent } of all) if (members.has(parent)) members.add(pid);
  }
  const ticks = all.filter(({ pid }) => members.has(pid)).reduce((sum, one) => sum + one.ticks, 0);
  return ticks / TICKS;
}

async function processes(): Promise<Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map(readProcess));
  return found.filter((one) => one !== null);
}

async function readProcess(pid: string): Promise<Process | null> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  } catch {
    // It ended between the listing and the reading; its time is with its parent.
    return null;
  }
  // The name may hold blanks and brackets; fields are counted after the last bracket (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [utime, stime, cutime, cstime] = [11, 12, 13, 14].map((index) => Number(fields[index]));
  return {
    pid: Number(pid),
    parent: Number(fields[1]),
    ticks: (utime ?? 0) + (stime ?? 0) + (cutime ?? 0) + (cstime ?? 0),
  };
}
