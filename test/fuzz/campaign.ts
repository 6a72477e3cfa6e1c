import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Coverage } from './coverage.ts';
import { describeGrowth, growthOf, type MemorySample } from './growth.ts';
import { minimise } from './minimise.ts';
import { mutate } from './mutate.ts';
import type { ProgressWriter } from './progress-file.ts';
import { Random } from './random.ts';
import { type Misbehaviour, Runner } from './run-input.ts';
import type { FuzzTarget, PreparedTarget } from './target.ts';

/**
 * Fuzzes one parser in this process: mutates inputs, keeps those that reach code which no input reached before, and
 * reports what misbehaves. Hangs and deaths are noticed by the process around it (supervise.ts).
 */

/** When a campaign ends: by the clock, or after so many runs, whatever the machine does meanwhile. */
export type Until = { ms: number } | { runs: number };

export type CampaignOptions = {
  seed: number;
  until: Until;
  /** Longest time for making one finding small. */
  minimiseMs: number;
};

export type CampaignFinding = {
  kind: Misbehaviour['kind'] | 'growth';
  key: string;
  text: string;
  /** null: no single input does it. */
  input: Buffer | null;
};

export type CampaignStatus = {
  runs: number;
  elapsedMs: number;
  corpus: number;
  blocks: number;
  heapOctets: number;
  rssOctets: number;
};

export type CampaignEvents = {
  finding(finding: CampaignFinding): void;
  status(status: CampaignStatus): void;
};

/** Runs between two readings of the coverage take about so long. */
const BATCH_MS = 40;
const BATCH_RUNS = 256;
const CORPUS_ENTRIES = 4_000;
const CORPUS_OCTETS = 16 * 1024 * 1024;
const SAMPLES = 40;
/** After so many different mistakes of one kind more of them teach nothing. */
const MOST_FINDINGS = 12;

export type CampaignTools = { coverage: Coverage; progress: ProgressWriter };

export async function runCampaign(
  target: FuzzTarget,
  options: CampaignOptions,
  tools: CampaignTools,
  events: CampaignEvents,
): Promise<CampaignStatus> {
  const prepared = await target.prepare();
  const campaign = new Campaign(target, prepared, options, tools, events);
  try {
    return await campaign.run();
  } finally {
    prepared.close?.();
  }
}

class Campaign {
  readonly #target: FuzzTarget;
  readonly #prepared: PreparedTarget;
  readonly #options: CampaignOptions;
  readonly #progress: ProgressWriter;
  readonly #events: CampaignEvents;
  readonly #runner: Runner;
  readonly #random: Random;
  readonly #coverage: Coverage;
  readonly #dictionary: readonly Buffer[];
  readonly #known = new Set<string>();
  readonly #corpus: Buffer[] = [];
  readonly #samples: MemorySample[] = [];
  #corpusOctets = 0;
  readonly #started = performance.now();

  constructor(
    target: FuzzTarget,
    prepared: PreparedTarget,
    options: CampaignOptions,
    { coverage, progress }: CampaignTools,
    events: CampaignEvents,
  ) {
    this.#target = target;
    this.#prepared = prepared;
    this.#options = options;
    this.#progress = progress;
    this.#events = events;
    this.#runner = new Runner(target, prepared, (input) => progress.begins(input));
    this.#random = new Random(options.seed);
    this.#coverage = coverage;
    this.#dictionary = (target.dictionary ?? []).map((word) => Buffer.from(word as string));
  }

  async run(): Promise<CampaignStatus> {
    // Whoever prepared the seeds has run half of the code already.
    this.#coverage.sample();
    for (const seed of this.#prepared.seeds) {
      const octets = Buffer.from(seed);
      await this.#runOne(octets, true);
      this.#keep(octets);
      this.#coverage.remember(this.#coverage.sample());
    }
    const runsBefore = this.#progress.runs;
    let nextStatus = this.#started + 1_000;
    let nextSample = 0;
    for (;;) {
      const done = this.#share(runsBefore);
      if (done >= 1) break;
      if (done >= nextSample) {
        nextSample = done + 1 / SAMPLES;
        this.#sampleMemory();
      }
      await this.#batch();
      await nextTurn();
      if (performance.now() >= nextStatus) {
        nextStatus = performance.now() + 1_000;
        this.#events.status(this.#status());
      }
    }
    const text = describeGrowth(growthOf(this.#samples), this.#target.caches ?? 0);
    if (text !== null) {
      const heap = this.#samples.map(({ heapOctets }) => (heapOctets / 1024 / 1024).toFixed(1)).join(' ');
      this.#events.finding({
        kind: 'growth',
        key: 'growth',
        text: `${text}\nheap, MiB: ${heap}`,
        input: null,
      });
    }
    return this.#status();
  }

  /** Of the campaign that lies behind it; 1: all. */
  #share(runsBefore: number): number {
    const { until } = this.#options;
    return 'ms' in until
      ? (performance.now() - this.#started) / until.ms
      : (this.#progress.runs - runsBefore) / until.runs;
  }

  async #batch(): Promise<void> {
    const inputs: Buffer[] = [];
    const end = 'ms' in this.#options.until ? performance.now() + BATCH_MS : Number.POSITIVE_INFINITY;
    while (inputs.length < BATCH_RUNS && performance.now() < end) {
      const input = this.#mutant();
      inputs.push(input);
      await this.#runOne(input, this.#random.once(8));
    }
    const sample = this.#coverage.sample();
    if (!this.#coverage.isNews(sample)) return;
    await this.#findNews(inputs);
    this.#coverage.remember(sample);
  }

  /** Which of the inputs reaches what is new: halved until one is left. */
  async #findNews(inputs: readonly Buffer[]): Promise<void> {
    const [only] = inputs;
    if (only === undefined) return;
    for (const input of inputs) await this.#runOne(input, false);
    const sample = this.#coverage.sample();
    if (!this.#coverage.isNews(sample)) return;
    if (inputs.length === 1) {
      this.#keep(only);
      this.#coverage.remember(sample);
      return;
    }
    const middle = inputs.length >> 1;
    await this.#findNews(inputs.slice(0, middle));
    await this.#findNews(inputs.slice(middle));
  }

  #mutant(): Buffer {
    const random = this.#random;
    const corpus = this.#corpus;
    // The newest entries stand for what is explored least.
    const newest = random.once(2) ? Math.min(corpus.length, 64) : corpus.length;
    const base = corpus[corpus.length - 1 - random.int(newest)] ?? Buffer.alloc(0);
    const other = random.pick(corpus) ?? base;
    const maxOctets = this.#target.maxOctets ?? 65_536;
    return mutate(base, { random, form: this.#target.form, dictionary: this.#dictionary, other, maxOctets });
  }

  #keep(input: Buffer): void {
    // A copy: a mutant may be a view on something larger.
    this.#corpus.push(Buffer.from(input));
    this.#corpusOctets += input.length;
    while (this.#corpus.length > CORPUS_ENTRIES || this.#corpusOctets > CORPUS_OCTETS) {
      const [gone] = this.#corpus.splice(this.#random.int(this.#corpus.length), 1);
      this.#corpusOctets -= gone?.length ?? 0;
    }
  }

  async #runOne(input: Buffer, again: boolean): Promise<void> {
    const found = await this.#runner.run(input, again);
    if (found === null || this.#known.has(found.key) || this.#known.size >= MOST_FINDINGS) return;
    this.#known.add(found.key);
    const small = await minimise(
      input,
      async (candidate) =>
        (await this.#runner.run(candidate, found.kind === 'other-answer'))?.key === found.key,
      performance.now() + this.#options.minimiseMs,
    );
    this.#events.finding({ ...found, input: small });
    if (found.kind === 'slow') this.#runner.minded = false;
  }

  #sampleMemory(): void {
    globalThis.gc?.();
    const { heapUsed, rss } = process.memoryUsage();
    this.#samples.push({
      runs: this.#progress.runs,
      heapOctets: heapUsed,
      rssOctets: rss,
    });
  }

  #status(): CampaignStatus {
    const last = this.#samples.at(-1);
    return {
      runs: this.#progress.runs,
      elapsedMs: performance.now() - this.#started,
      corpus: this.#corpus.length,
      blocks: this.#coverage.blocks,
      heapOctets: last?.heapOctets ?? 0,
      rssOctets: last?.rssOctets ?? 0,
    };
  }
}
