import { killed } from './processes.ts';

/** Mail goes on while key processes are killed: who was told what, and how long nothing was signed. */
export type KillsUnderLoad = {
  /** By Subject, the last reply; mails that were told to come again came again. */
  replies: ReadonlyMap<string, string>;
  /** How often a mail was told to come again. */
  deferred: number;
  /** For each kill, milliseconds until a mail that began after it was accepted. */
  recoveries: readonly number[];
};

export type KillsUnderLoadOptions = {
  kills: number;
  /** Senders at the same time. */
  lanes: number;
  /** Sends a mail with this Subject; the reply, whatever it is. */
  send(subject: string): Promise<string>;
  /** The key process as of now; null: there is none. */
  keyProcess(): Promise<number | null>;
};

/** Mails that are accepted between two kills at least. */
const BETWEEN = 3;

/** Sends until so many key processes have been killed, each while mails are under way, and everything has had its reply. */
export async function killUnderLoad(options: KillsUnderLoadOptions): Promise<KillsUnderLoad> {
  const { kills, lanes, send, keyProcess } = options;
  const replies = new Map<string, string>();
  const recoveries: number[] = [];
  let deferred = 0;
  let number = 0;
  /** When the last kill was; null: a mail has been accepted since. */
  let killedAt: number | null = null;
  let accepted = 0;
  let wake = Promise.withResolvers<void>();

  async function lane(): Promise<void> {
    while (recoveries.length < kills) {
      const subject = `mail-${number++}`;
      for (let reply = ''; !/^[25]/.test(reply); ) {
        const begun = performance.now();
        reply = await send(subject);
        replies.set(subject, reply);
        if (reply.startsWith('4')) deferred++;
        if (!reply.startsWith('250')) continue;
        accepted++;
        if (killedAt !== null && begun >= killedAt) {
          recoveries.push(performance.now() - killedAt);
          killedAt = null;
        }
        wake.resolve();
      }
    }
  }

  async function killer(): Promise<void> {
    for (let kill = 0; kill < kills; kill++) {
      const enough = accepted + BETWEEN;
      while (killedAt !== null || accepted < enough) {
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
      let pid = await keyProcess();
      killedAt = performance.now();
      while (pid === null || !killed(pid)) {
        pid = await keyProcess();
        killedAt = performance.now();
      }
    }
  }

  await Promise.all([killer(), ...Array.from({ length: lanes }, lane)]);
  return { replies, deferred, recoveries };
}
