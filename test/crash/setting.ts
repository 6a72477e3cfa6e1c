import { readdir, readFile } from 'node:fs/promises';
import type { UserIdentity } from '../../src/evaluation/throwaway-pki.ts';

/** What load is put on, and what of it can be killed. */
export type Setting = {
  /** Takes mail by SMTP. */
  port: number;
  /** The file of the mail server at the end (sink-process.ts). */
  kept: string;
  caFile: string;
  /** Whose mail has to be encrypted. */
  secret: UserIdentity;
  victims: readonly Victim[];
  /** Mails that were accepted and are not delivered yet. */
  waiting(): Promise<number>;
  /** Makes what waits for its next attempt due now, as an operator would. */
  hurry(): Promise<void>;
  stop(): Promise<void>;
};

export type Victim = {
  name: string;
  /** Killed with SIGKILL, and there again when this resolves, where nobody else starts it again. */
  hit(): Promise<void>;
};

/** One of the processes that hold keys for these gateways, where there is one. */
export async function killedKeyProcess(gateways: readonly number[]): Promise<void> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    // Processes end while they are listed.
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    if (!gateways.includes(parent)) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
    return;
  }
}
