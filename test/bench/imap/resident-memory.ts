import { readFile, writeFile } from 'node:fs/promises';

export type ResidentMemory = {
  now: number /** Since the process began, or since `forgetPeak`. */;
  peak: number;
};

/** Octets of one process, without its children (proc(5)). */
export async function residentMemory(pid: number): Promise<ResidentMemory> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  const kibibytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  return { now: kibibytes('VmRSS') * 1024, peak: kibibytes('VmHWM') * 1024 };
}

/** From now on the peak is the one from now on. */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}
