/**
 * A benchmark runs its contenders in turn, round by round, so that what the machine does meanwhile meets them all alike.
 * It measures; it never judges: no test depends on a figure.
 */
export type Benchmark = {
  name: string;
  /** What one unit is: `mail`, `signature`. */
  unit: string;
  /** One line: what is measured and how. */
  about: string;
  contenders: readonly Contender[];
  /** At most so many rounds, where one takes long. */
  rounds?: number;
};

export type Contender = {
  name: string;
  /** `ours`, a `peer` that does the same job, or a `limit` that nobody can pass. */
  role: 'ours' | 'peer' | 'limit';
  /** Starts what is needed, once, before the first round. */
  start(): Promise<RunningContender>;
};

export type RunningContender = {
  /** One round. */
  run(size: RoundSize): Promise<Sample>;
  stop(): Promise<void>;
};

export type RoundSize = 'quick' | 'full';

export type Sample = {
  units: number;
  seconds: number;
  /** User and system time of the contender's process tree, seconds; null where it cannot be told apart. */
  cpuSeconds: number | null;
  /** Octets by which the resident memory has grown at most since before the first round; absent where nobody looks. */
  memoryGrowth?: number;
  /** Figures of which only the worst counts, by what they are and their unit; absent where there are none. */
  worst?: Readonly<Record<string, number>>;
  /** Figures of their own, by what they are and their unit; absent where there are none. */
  figures?: Readonly<Record<string, number>>;
};
