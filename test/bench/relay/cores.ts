import { availableParallelism } from 'node:os';

/**
 * Which cores a contender has for itself. With the load and the sink on the others, what a contender does in a second is what those
 * cores can do, and can be compared with what they do when they have nothing else to do.
 */
export type Cores = readonly number[];

const all = Array.from({ length: availableParallelism() }, (_, core) => core);

/** So many of the machine's cores for what is measured, at most half. */
export function measuredCores(wanted: number): Cores {
  return all.slice(0, Math.max(1, Math.min(wanted, Math.floor(all.length / 2))));
}

/** All that the measured ones are not; the same where the machine has a single one. */
export function otherCores(measured: Cores): Cores {
  const others = all.filter((core) => !measured.includes(core));
  return others.length === 0 ? all : others;
}

/** A command that keeps to these cores, with all processes that it starts; `null`: it runs where it likes. util-linux has taskset. */
export function onCores(
  cores: Cores | null,
  program: string,
  args: readonly string[],
): [program: string, args: string[]] {
  return cores === null ? [program, [...args]] : ['taskset', ['-c', cores.join(','), program, ...args]];
}
