import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * Loaded into a gateway that a benchmark looks at (`--import`): how late its event loop is. Asked over the channel that the parent keeps;
 * after each answer it counts anew.
 */
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();

export type Lateness = { median: number; p99: number; worst: number };

process.on('message', (message) => {
  if (message !== 'lateness') return;
  const milliseconds = (nanoseconds: number) => nanoseconds / 1e6;
  const lateness: Lateness = {
    median: milliseconds(delay.percentile(50)),
    p99: milliseconds(delay.percentile(99)),
    worst: milliseconds(delay.max),
  };
  delay.reset();
  process.send?.(lateness);
});
process.channel?.unref();
