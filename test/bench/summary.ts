import type { Sample } from './benchmark.ts';
import type { BenchmarkResult } from './rounds.ts';

export type Spread = { min: number; median: number; max: number };

export type Row = {
  name: string;
  role: string;
  unitsPerSecond: Spread;
  /** Ours divided by this one, round by round; null for ours. */
  oursRatio: Spread | null;
  cpuMicrosecondsPerUnit: Spread | null;
  /** Its CPU for one unit divided by ours, round by round; null for ours, and where it cannot be told. */
  cpuRatio: Spread | null;
  /** Our CPU less that of a limit, round by round: what we spend beyond what nobody can save. null for all others. */
  oursBeyondMicroseconds: Spread | null;
  /** The most that the resident memory has grown by; null where nobody looked. */
  memoryGrowthMegabytes: number | null;
  /** The largest of all rounds. */
  worst: Readonly<Record<string, number>>;
  figures: Readonly<Record<string, Spread>>;
  /** Our figures less those of this one, round by round; nothing for ours. */
  oursLessFigures: Readonly<Record<string, Spread>>;
};

export type Summary = { name: string; about: string; unit: string; rounds: number; rows: Row[] };

/** Ratios are taken within a round, where both met the same machine, and only then spread. */
export function summarise({ benchmark, rounds, results }: BenchmarkResult): Summary {
  const ours = results.find(({ contender }) => contender.role === 'ours')?.samples ?? [];
  const rows = results.map(({ contender, samples }): Row => {
    const cpu = samples.flatMap((sample) => microseconds(sample) ?? []);
    const both = samples.flatMap((sample, round) => {
      const [own, its] = [ours[round], sample].map((one) => (one === undefined ? null : microseconds(one)));
      return own == null || its == null ? [] : [{ own, its }];
    });
    const beyond = both.map(({ own, its }) => own - its);
    const cpuRatios = samples === ours ? [] : both.map(({ own, its }) => its / own);
    return {
      name: contender.name,
      role: contender.role,
      unitsPerSecond: spread(samples.map(rate)),
      oursRatio:
        samples === ours
          ? null
          : spread(samples.map((sample, round) => rate(ours[round] ?? sample) / rate(sample))),
      cpuMicrosecondsPerUnit: cpu.length === 0 ? null : spread(cpu),
      cpuRatio: cpuRatios.length === 0 ? null : spread(cpuRatios),
      memoryGrowthMegabytes: mostGrowth(samples),
      worst: worst(samples),
      figures: figures(samples, (sample, name) => sample.figures?.[name]),
      oursLessFigures: contender.role === 'ours' ? {} : figures(samples, less(ours)),
      oursBeyondMicroseconds: contender.role === 'limit' && beyond.length > 0 ? spread(beyond) : null,
    };
  });
  return { name: benchmark.name, about: benchmark.about, unit: benchmark.unit, rounds, rows };
}

function mostGrowth(samples: readonly Sample[]): number | null {
  const grown = samples.flatMap(({ memoryGrowth }) => memoryGrowth ?? []);
  return grown.length === 0 ? null : Math.max(...grown) / 1e6;
}

function worst(samples: readonly Sample[]): Record<string, number> {
  const largest: Record<string, number> = {};
  for (const [name, value] of samples.flatMap((sample) => Object.entries(sample.worst ?? {}))) {
    largest[name] = Math.max(largest[name] ?? value, value);
  }
  return largest;
}

/** Each figure that the samples have, spread over the rounds. */
function figures(
  samples: readonly Sample[],
  value: (sample: Sample, name: string, round: number) => number | undefined,
): Record<string, Spread> {
  const names = new Set(samples.flatMap((sample) => Object.keys(sample.figures ?? {})));
  const spreads: Record<string, Spread> = {};
  for (const name of names) {
    const values = samples.flatMap((sample, round) => value(sample, name, round) ?? []);
    if (values.length > 0) spreads[name] = spread(values);
  }
  return spreads;
}

function less(ours: readonly Sample[]) {
  return (sample: Sample, name: string, round: number): number | undefined => {
    const own = ours[round]?.figures?.[name];
    const its = sample.figures?.[name];
    return own === undefined || its === undefined ? undefined : own - its;
  };
}

function microseconds({ cpuSeconds, units }: Sample): number | null {
  return cpuSeconds === null ? null : (cpuSeconds / units) * 1e6;
}

function rate({ units, seconds }: Sample): number {
  return units / seconds;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number) => sorted[Math.min(sorted.length - 1, Math.max(0, index))] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    min: at(0),
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    max: at(sorted.length - 1),
  };
}

const HEAD = [
  '',
  '',
  'per second (min median max)',
  'ours / this (min median max)',
  'CPU us each (median)',
  'its CPU / ours (min median max)',
  'ours beyond it',
  'memory grew by (MB)',
];

export function table({ name, about, unit, rounds, rows }: Summary): string {
  const cells = rows.map((row) => [
    row.name,
    row.role,
    spreadText(row.unitsPerSecond, 0),
    row.oursRatio === null ? '' : spreadText(row.oursRatio, 2),
    row.cpuMicrosecondsPerUnit === null ? '-' : row.cpuMicrosecondsPerUnit.median.toFixed(0),
    row.cpuRatio === null ? '' : spreadText(row.cpuRatio, 2),
    row.oursBeyondMicroseconds === null ? '' : row.oursBeyondMicroseconds.median.toFixed(0),
    row.memoryGrowthMegabytes === null ? '' : row.memoryGrowthMegabytes.toFixed(0),
  ]);
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    `  ${row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}`;
  return [
    `${name}: ${about} (unit: ${unit}; ${rounds} rounds, interleaved)`,
    line(HEAD),
    ...cells.map(line),
    ...rows.flatMap(worstLines),
    ...rows.flatMap(figureLines),
    '',
  ].join('\n');
}

/** One line for each figure of which only the worst counts. */
function worstLines({ name, worst }: Row): string[] {
  return Object.entries(worst).map(([what, value]) => `  ${name.trim()}: ${what}: ${value.toFixed(1)}`);
}

/** One line for each figure (min median max), and for ours less that of another. */
function figureLines({ name, figures, oursLessFigures }: Row): string[] {
  const line = (what: string, value: Spread): string => `  ${name.trim()}: ${what}: ${spreadText(value, 2)}`;
  return [
    ...Object.entries(figures).map(([what, value]) => line(what, value)),
    ...Object.entries(oursLessFigures).map(([what, value]) => line(`ours less this, ${what}`, value)),
  ];
}

function spreadText({ min, median, max }: Spread, digits: number): string {
  return [min, median, max].map((value) => value.toFixed(digits)).join('  ');
}
