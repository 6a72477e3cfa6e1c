import { readdir, readFile } from 'node:fs/promises';

/** Pids of the processes whose parent is one of these, and that live: one that has ended and is not asked for yet (a zombie) does not. */
export async function childrenOf(parents: readonly number[]): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await statOf(Number(pid));
    if (stat !== null && parents.includes(stat.parent)) found.push(Number(pid));
  }
  return found;
}

export async function isAlive(pid: number): Promise<boolean> {
  return (await statOf(pid)) !== null;
}

/** SIGKILL. false: it has ended by itself meanwhile. */
export function killed(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

async function statOf(pid: number): Promise<{ parent: number } | null> {
  // Processes end while they are listed.
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // proc(5): `pid (command) state ppid …`; the command may hold blanks and brackets.
  const [state = '', parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat === '' || /[ZX]/.test(state) ? null : { parent: Number(parent) };
}
