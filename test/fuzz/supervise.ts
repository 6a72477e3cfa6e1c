import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CampaignStatus, Until } from './campaign.ts';
import type { ChildMessage, ChildTask } from './child.ts';
import { minimise } from './minimise.ts';
import { readProgress } from './progress-file.ts';

/** Runs the fuzzing process of one parser, ends it where it hangs, and begins again after it died. */

export type Finding = {
  target: string;
  kind: string;
  key: string;
  text: string;
  input: Buffer | null;
  seed: number;
};

export type SuperviseOptions = {
  targetsFile: string;
  sourceFolder: string;
  target: string;
  seed: number;
  until: Until;
  /** Without a new run for so long the process hangs. */
  hangMs: number;
  /** For making one finding small. */
  minimiseMs: number;
  /** Whether the first finding ends it. */
  onlyFirst?: boolean;
};

export type SuperviseEvents = {
  status?(status: CampaignStatus): void;
  finding(finding: Finding): void;
};

/** Each of them has cost `hangMs`, and the next one is mostly the same. */
const MOST_DEATHS = 3;

/** @returns the last status of each process that ran, added up; null: none came so far */
export async function supervise(
  options: SuperviseOptions,
  events: SuperviseEvents,
): Promise<CampaignStatus | null> {
  const { target } = options;
  const begin = performance.now();
  let total: CampaignStatus | null = null;
  for (let deaths = 0; deaths < MOST_DEATHS; deaths++) {
    const seed = options.seed + deaths;
    const until = rest(options.until, performance.now() - begin, total?.runs ?? 0);
    if (until === null) break;
    const { targetsFile, sourceFolder, minimiseMs } = options;
    let last: CampaignStatus | null = null;
    const ended = await runChild(
      { kind: 'campaign', targetsFile, target, sourceFolder, options: { seed, until, minimiseMs } },
      options.hangMs,
      (message) => {
        if (message.kind === 'status' || message.kind === 'done') last = message.status;
        if (message.kind === 'status') events.status?.(message.status);
        if (message.kind === 'finding') {
          const { input, ...rest } = message.finding;
          events.finding({
            ...rest,
            target,
            seed,
            input: input === null ? null : Buffer.from(input, 'base64'),
          });
        }
        return options.onlyFirst === true && message.kind === 'finding';
      },
    );
    total = sum(total, last);
    if (ended.kind === 'done') break;
    const input = ended.input === null ? null : await smallerDeath(ended.input, ended.kind, options);
    const text = ended.kind === 'hang' ? `no answer for ${options.hangMs} ms` : ended.text;
    events.finding({ target, kind: ended.kind, key: ended.kind, text, input, seed });
    if (options.onlyFirst === true) break;
  }
  return total;
}

/** What is left of a campaign whose process died; null: not worth another one. */
function rest(until: Until, elapsedMs: number, runs: number): Until | null {
  if ('runs' in until) return runs < until.runs ? { runs: until.runs - runs } : null;
  return until.ms - elapsedMs >= 1_000 ? { ms: until.ms - elapsedMs } : null;
}

/** Runs one input in a process of its own and says what it did. */
export async function runOnce(
  options: Pick<SuperviseOptions, 'targetsFile' | 'target' | 'hangMs'>,
  input: Buffer,
): Promise<string | null> {
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-fuzz-'));
  try {
    const inputFile = join(folder, 'input');
    writeFileSync(inputFile, input);
    let said: string | null = null;
    const { targetsFile, target, hangMs } = options;
    const ended = await runChild({ kind: 'once', targetsFile, target, inputFile }, hangMs, (message) => {
      if (message.kind === 'once-done') said = message.misbehaviour;
      return false;
    });
    if (ended.kind === 'hang') return `hang: no answer for ${hangMs} ms`;
    return ended.kind === 'crash' ? `crash: ${ended.text}` : said;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function smallerDeath(input: Buffer, kind: string, options: SuperviseOptions): Promise<Buffer> {
  // Each try that still hangs costs a whole wait, so it is a shorter one.
  const hangMs = Math.min(options.hangMs, 3_000);
  const dies = async (candidate: Buffer): Promise<boolean> =>
    (await runOnce({ ...options, hangMs }, candidate))?.startsWith(kind) === true;
  return (await dies(input)) ? minimise(input, dies, performance.now() + options.minimiseMs) : input;
}

type Ended =
  | { kind: 'done' }
  | { kind: 'hang'; input: Buffer | null }
  | { kind: 'crash'; input: Buffer | null; text: string };

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
/** Keys and messages are made first. */
const PREPARING_MS = 180_000;

type Task = ChildTask extends infer T ? (T extends ChildTask ? Omit<T, 'progressFile'> : never) : never;

async function runChild(
  task: Task,
  hangMs: number,
  heard: (message: ChildMessage) => boolean,
): Promise<Ended> {
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-fuzz-'));
  const progressFile = join(folder, 'progress');
  writeFileSync(progressFile, '');
  const child = fork(CHILD, [], {
    execArgv: ['--expose-gc', '--max-old-space-size=1024'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  // The machine has other work to do.
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  let said = '';
  child.stderr?.on('data', (octets: Buffer) => {
    said = `${said}${octets.toString()}`.slice(-8_192);
  });
  let done = false;
  let hung = false;
  child.on('message', (message: ChildMessage) => {
    if (message.kind === 'ready') child.send({ ...task, progressFile });
    if (message.kind === 'done' || message.kind === 'once-done') done = true;
    if (heard(message)) {
      done = true;
      child.kill('SIGKILL');
    }
  });
  let runs = -1;
  let since = performance.now();
  const watch = setInterval(
    () => {
      const now = readProgress(progressFile)?.runs ?? -1;
      if (now !== runs) {
        runs = now;
        since = performance.now();
      } else if (performance.now() - since > (runs === -1 ? PREPARING_MS : hangMs)) {
        hung = !done;
        child.kill('SIGKILL');
      }
    },
    Math.min(500, hangMs / 4),
  );
  try {
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (...ending) => resolve(ending));
    });
    const input = readProgress(progressFile)?.octets ?? null;
    if (hung) return { kind: 'hang', input };
    if (done) return { kind: 'done' };
    return { kind: 'crash', input, text: `ended with ${signal ?? code}\n${said}` };
  } finally {
    clearInterval(watch);
    rmSync(folder, { recursive: true, force: true });
  }
}

function sum(one: CampaignStatus | null, other: CampaignStatus | null): CampaignStatus | null {
  if (one === null || other === null) return other ?? one;
  return {
    ...other,
    runs: one.runs + other.runs,
    elapsedMs: one.elapsedMs + other.elapsedMs,
    corpus: Math.max(one.corpus, other.corpus),
    blocks: Math.max(one.blocks, other.blocks),
  };
}
