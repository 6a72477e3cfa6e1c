import type { Victim } from './setting.ts';

type Program = {
  readonly name: string;
  /** Resolves when it has ended. false: it does not run. */
  kill(): Promise<boolean>;
  /** Resolves when it answers. @throws Error where it ends before, killed or by itself */
  start(): Promise<void>;
};

/** A program as a victim: started again as soon as it is dead, as a service manager does, and killed anew also while it still starts. */
export function revived(program: Program): Victim {
  let lives = 0;
  let started: Promise<void> = Promise.resolve();
  const startAgain = async (before: Promise<void>, life: number) => {
    await before;
    try {
      await program.start();
    } catch (error) {
      // Killed as it started: its next life has begun, and whoever waits for that one hears how it went.
      if (life === lives) throw error;
    }
  };
  return {
    name: program.name,
    async hit() {
      // Counted before the kill, by which a start that is going on ends.
      const life = ++lives;
      if (!(await program.kill())) throw new Error(`${program.name} had ended by itself`);
      started = startAgain(started, life);
      return { back: started };
    },
  };
}
