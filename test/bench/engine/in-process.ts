import type { Contender, RunningContender } from '../benchmark.ts';

/** Mails under way at the same time, as from ten connections. */
const PARALLEL = 10;

/** What runs in the benchmark's own process: its CPU is that of all threads while it runs. */
export type InProcess = { once(): Promise<unknown>; stop(): Promise<void> };

export function inProcess(name: string, role: Contender['role'], start: () => Promise<InProcess>): Contender {
  return {
    name,
    role,
    async start(): Promise<RunningContender> {
      const { once, stop } = await start();
      return {
        async run(size) {
          const units = size === 'quick' ? 2_000 : 10_000;
          const cpuBefore = process.cpuUsage();
          const before = performance.now();
          let left = units;
          const worker = async () => {
            while (left-- > 0) await once();
          };
          await Promise.all(Array.from({ length: PARALLEL }, worker));
          const seconds = (performance.now() - before) / 1000;
          const { user, system } = process.cpuUsage(cpuBefore);
          return { units, seconds, cpuSeconds: (user + system) / 1e6 };
        },
        stop,
      };
    },
  };
}
