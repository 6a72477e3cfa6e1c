import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * Loaded into a gateway that a benchmark looks at (`--import`): how late its event loop is, and how long it was held in one go. Asked over
 * the channel that the parent keeps; after each answer it counts anew.
 */
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();

/** Milliseconds. */
export type Lateness = {
  /** As it was; what else the machine did is in it. */
  p99: number;
  worst: number;
  /** The most processor time that this thread took between two turns of its timers. */
  held: number;
};

const threadMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};
let last = threadMs();
let held = 0;
setInterval(() => {
  const now = threadMs();
  held = Math.max(held, now - last);
  last = now;
}, 1).unref();

process.on('message', (message) => {
  if (message !== 'lateness') return;
  const lateness: Lateness = { p99: delay.percentile(99) / 1e6, worst: delay.max / 1e6, held };
  delay.reset();
  held = 0;
  process.send?.(lateness);
});
process.channel?.unref();
