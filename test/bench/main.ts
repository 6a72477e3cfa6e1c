import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Benchmark } from './benchmark.ts';
import { directoryLookups } from './directory/directory.ts';
import { chains } from './engine/chain.ts';
import { engineEncrypted, engineSigned } from './engine/engine.ts';
import { largeDecrypted, largeEncrypted, largeSigned, largeVerified } from './engine/large-message.ts';
import { smimeEncrypted, smimeSigned } from './engine/smime.ts';
import { imapIdle } from './imap/idle.ts';
import { imapListing100k } from './imap/listing.ts';
import { imapOpenEncrypted } from './imap/opening.ts';
import { imapSlowReaders } from './imap/slow-readers.ts';
import { imapBulkBodies, imapBulkListing, imapSingleFetches } from './imap/traffic.ts';
import { keysEventLoop } from './keys/event-loop.ts';
import { keysKills } from './keys/kills.ts';
import { tokenRate } from './keys/token-rate.ts';
import { policyDeciding } from './policy/deciding.ts';
import { queueAcceptance } from './queue/queue.ts';
import { relayLarge } from './relay/large.ts';
import { relayLatency } from './relay/latency.ts';
import { relayPlain, relaySigned } from './relay/relay.ts';
import { runRounds } from './rounds.ts';
import { summarise, table } from './summary.ts';

/** Each benchmark is one function that makes it; later ones are added here. */
const BENCHMARKS: readonly (() => Benchmark)[] = [
  relayPlain,
  relaySigned,
  relayLatency,
  relayLarge,
  queueAcceptance,
  engineSigned,
  engineEncrypted,
  smimeSigned,
  smimeEncrypted,
  chains,
  policyDeciding,
  directoryLookups,
  largeSigned,
  largeEncrypted,
  largeDecrypted,
  largeVerified,
  tokenRate,
  keysEventLoop,
  keysKills,
  imapBulkListing,
  imapBulkBodies,
  imapSingleFetches,
  imapListing100k,
  imapOpenEncrypted,
  imapIdle,
  imapSlowReaders,
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    rounds: { type: 'string' },
  },
});
const size = values.quick ? 'quick' : 'full';
const rounds = Number(values.rounds ?? (values.quick ? 3 : 7));
const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

const model = cpus()[0]?.model.trim() ?? 'unknown processor';
console.log(
  `${cpus().length} cores, ${model}; Node ${process.versions.node}, OpenSSL ${process.versions.openssl}\n`,
);
const summaries = [];
for (const make of BENCHMARKS) {
  const benchmark = make();
  if (positionals.length > 0 && !positionals.some((wanted) => benchmark.name.includes(wanted))) continue;
  const summary = summarise(await runRounds(benchmark, rounds, size, progress));
  progress('');
  console.log(table(summary));
  summaries.push(summary);
}
const file = resolve(values.json ?? 'bench-results/latest.json');
await mkdir(dirname(file), { recursive: true });
const machine = { cores: cpus().length, model, node: process.versions.node };
await writeFile(file, `${JSON.stringify({ machine, size, rounds, summaries }, null, 2)}\n`);
console.log(`The same as JSON: ${file}`);
