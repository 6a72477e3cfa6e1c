import type { Benchmark, Contender, RoundSize, RunningContender, Sample } from './benchmark.ts';

export type ContenderResult = { contender: Contender; samples: readonly Sample[] };

export type BenchmarkResult = { benchmark: Benchmark; rounds: number; results: readonly ContenderResult[] };

/** One uncounted round each to warm up, then `rounds` interleaved ones: A B C, A B C, … */
export async function runRounds(
  benchmark: Benchmark,
  wantedRounds: number,
  size: RoundSize,
  progress: (text: string) => void,
): Promise<BenchmarkResult> {
  const rounds = Math.min(wantedRounds, benchmark.rounds ?? wantedRounds);
  const running: { contender: Contender; live: RunningContender; samples: Sample[] }[] = [];
  try {
    for (const contender of benchmark.contenders) {
      progress(`${benchmark.name}: starting ${contender.name}`);
      running.push({ contender, live: await contender.start(), samples: [] });
    }
    for (let round = 0; round <= rounds; round++) {
      for (const { contender, live, samples } of running) {
        progress(
          `${benchmark.name}: ${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${contender.name}`,
        );
        const sample = await live.run(round === 0 ? 'quick' : size);
        if (round > 0) samples.push(sample);
      }
    }
  } finally {
    for (const { live } of running.reverse()) await live.stop();
  }
  return {
    benchmark,
    rounds,
    results: running.reverse().map(({ contender, samples }) => ({ contender, samples })),
  };
}
