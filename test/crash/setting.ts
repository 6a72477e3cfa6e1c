import type { UserIdentity } from '../../src/evaluation/throwaway-pki.ts';
import { childrenOf, killed } from '../support/processes.ts';

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
  /** Rejects where a program ends that nobody has killed or stopped. */
  endedByItself: Promise<never>;
  /** Mails that were accepted and are not delivered yet. */
  waiting(): Promise<number>;
  /** Makes what waits for its next attempt due now, as an operator would. */
  hurry(): Promise<void>;
  stop(): Promise<void>;
};

export type Victim = {
  name: string;
  /** SIGKILL: dead when this resolves. null: there is nobody to be killed at the moment. */
  hit(chance: () => number): Promise<Hit | null>;
};

export type Hit = {
  /** Resolves when it is there again or was killed anew; rejects where it does not come back. */
  back: Promise<void>;
};

/** One of the processes that hold keys for these gateways. Its gateway makes the next one, and nobody else waits for that. */
export function keyProcess(gateways: () => readonly number[]): Victim {
  return {
    name: 'a key process',
    async hit(chance) {
      const there = await childrenOf(gateways());
      const pid = there[Math.floor(chance() * there.length)];
      return pid !== undefined && killed(pid) ? { back: Promise.resolve() } : null;
    },
  };
}
