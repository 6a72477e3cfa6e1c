import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { CampaignStatus } from './campaign.ts';
import { writeFinding } from './findings.ts';
import { type Finding, runOnce, supervise } from './supervise.ts';
import { targets } from './targets.ts';

/** `npm run fuzz`: fuzzes parsers, several at a time, and ends with a table; the exit code is 1 with findings. */

const TARGETS_FILE = fileURLToPath(new URL('./targets.ts', import.meta.url));
const SOURCE = fileURLToPath(new URL('../../src', import.meta.url));
const HANG_MS = 20_000;
const MINIMISE_MS = 15_000;

const USAGE = `npm run fuzz -- [--minutes 10] [--seconds N] [--seed N] [--parallel N] [--findings FOLDER] [parser …]
npm run fuzz -- --list
npm run fuzz -- --input FILE parser

A parser is named whole (cms-signed-data) or by how its name begins (cms); without names all are fuzzed.
`;

process.exitCode = await main();

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: 'string', default: '10' },
      seconds: { type: 'string' },
      seed: { type: 'string' },
      parallel: { type: 'string' },
      findings: { type: 'string' },
      input: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return say(USAGE);
  if (values.list) return say(`${targets.map(({ name }) => name).join('\n')}\n`);
  const chosen = choose(positionals);
  const seconds = values.seconds === undefined ? Number(values.minutes) * 60 : Number(values.seconds);
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
  const parallel =
    values.parallel === undefined ? Math.max(1, availableParallelism() >> 1) : Number(values.parallel);
  const numbers = [seconds, seed, parallel];
  if (chosen === null || numbers.some((value) => !Number.isFinite(value) || value < 0) || parallel < 1) {
    process.stderr.write(USAGE);
    return 2;
  }
  if (values.input !== undefined) return await reproduce(values.input, chosen);
  const folder = values.findings ?? mkdtempSync(join(tmpdir(), 'sealgate-findings-'));
  say(
    `${chosen.length} parsers, ${seconds} s each, ${parallel} at a time, seed ${seed}; findings go to ${folder}\n`,
  );
  return await fuzz(chosen, { seconds, seed, parallel, folder });
}

function choose(names: readonly string[]): string[] | null {
  const all = targets.map(({ name }) => name);
  if (names.length === 0) return all;
  const found = names.map((name) => all.filter((each) => each === name || each.startsWith(`${name}-`)));
  return found.some((each) => each.length === 0) ? null : [...new Set(found.flat())];
}

async function reproduce(file: string, names: readonly string[]): Promise<number> {
  const [target, ...more] = names;
  if (target === undefined || more.length > 0 || !existsSync(file)) {
    process.stderr.write(USAGE);
    return 2;
  }
  const said = await runOnce(
    { targetsFile: TARGETS_FILE, target, hangMs: hangMsOf(target) },
    readFileSync(file),
  );
  say(`${said ?? 'nothing to complain of'}\n`);
  return said === null ? 0 : 1;
}

function hangMsOf(target: string): number {
  return targets.find(({ name }) => name === target)?.hangMs ?? HANG_MS;
}

type Row = { target: string; status: CampaignStatus | null; findings: Finding[] };

async function fuzz(
  names: readonly string[],
  { seconds, seed, parallel, folder }: { seconds: number; seed: number; parallel: number; folder: string },
): Promise<number> {
  const waiting = names.map((target): Row => ({ target, status: null, findings: [] }));
  const rows = [...waiting];
  const shown = new Map<string, number>();
  const worker = async (): Promise<void> => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      const { target, findings } = row;
      row.status = await supervise(
        {
          targetsFile: TARGETS_FILE,
          sourceFolder: SOURCE,
          target,
          seed,
          until: { ms: seconds * 1_000 },
          hangMs: hangMsOf(target),
          minimiseMs: MINIMISE_MS,
        },
        {
          status: (status) => {
            if (performance.now() - (shown.get(target) ?? 0) < 15_000) return;
            shown.set(target, performance.now());
            say(`${line(target, status)}\n`);
          },
          finding: (finding) => {
            findings.push(finding);
            say(`${target}: ${finding.kind}: ${finding.key}\n  ${writeFinding(folder, finding)}\n`);
          },
        },
      );
      if (row.status === null && findings.length === 0) throw new Error(`${target} did not run`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, waiting.length) }, worker));
  say(table(rows));
  const count = rows.reduce((sum, { findings }) => sum + findings.length, 0);
  say(`${count} findings\n`);
  return count === 0 ? 0 : 1;
}

function line(
  target: string,
  { runs, elapsedMs, corpus, blocks, heapOctets, rssOctets }: CampaignStatus,
): string {
  const rate = Math.round(runs / (elapsedMs / 1_000));
  const cells = [
    `${Math.round(elapsedMs / 1_000)} s`,
    `${runs} runs`,
    `${rate}/s`,
    `corpus ${corpus}`,
    `blocks ${blocks}`,
    `heap ${mebi(heapOctets)} MiB`,
    `rss ${mebi(rssOctets)} MiB`,
  ];
  return `${target.padEnd(26)} ${cells.map((cell) => cell.padStart(14)).join('')}`;
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(({ target, status, findings }) => {
    const what = status === null ? target.padEnd(26) : line(target, status);
    return `${what}  ${findings.length === 0 ? 'clean' : findings.map(({ kind }) => kind).join(', ')}`;
  });
  return `\n${lines.join('\n')}\n`;
}

function mebi(octets: number): string {
  return (octets / 1024 / 1024).toFixed(1);
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
