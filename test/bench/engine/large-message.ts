import { type ChildProcess, fork } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import type { Benchmark, Contender, RunningContender, Sample } from '../benchmark.ts';
import { treeCpuSeconds } from '../process-tree.ts';

/**
 * One message with an attachment of 100 MB, from file to file: our streams in a process of their own, and `openssl cms` doing
 * the same job. The memory of ours may grow by what its chunks need, whatever the size.
 */

export type Operation = 'sign' | 'encrypt' | 'decrypt' | 'verify';
export type Job = { input: string; output: string };
export type WorkerOptions = {
  operation: Operation;
  certificate: string;
  key: string;
  authority: string;
  warmUp: Job;
};
export type WorkerReport = { seconds: number; memoryGrowth: number };

const MEGABYTE = 1_000_000;
const ATTACHMENT_MEGABYTES = 100;
const SENDER = 'alice@sealgate.test';

export const largeSigned = (): Benchmark => benchmark('sign', 'made multipart/signed, RSA-2048 and SHA-256');
export const largeEncrypted = (): Benchmark =>
  benchmark('encrypt', 'encrypted to one recipient, AES-256-CBC');
export const largeDecrypted = (): Benchmark => benchmark('decrypt', 'decrypted, AES-256-CBC');
export const largeVerified = (): Benchmark => benchmark('verify', 'verified, multipart/signed');

function benchmark(operation: Operation, what: string): Benchmark {
  const job = sharedFiles(operation);
  return {
    name: `large-${operation}`,
    unit: 'MB',
    about: `a mail with an attachment of ${ATTACHMENT_MEGABYTES} MB ${what}, from file to file`,
    contenders: [ours(operation, job), openssl(operation, job)],
  };
}

type Files = {
  folder: string;
  certificate: string;
  key: string;
  authority: string;
  /** What the operation reads, large and small. */
  large: string;
  small: string;
  megabytes: number;
};

/** Both contenders work on the same files; the last one to stop removes them. */
function sharedFiles(operation: Operation): { take(): Promise<Files>; leave(): Promise<void> } {
  let files: Promise<Files> | null = null;
  let users = 0;
  return {
    take() {
      users++;
      files ??= makeFiles(operation);
      return files;
    },
    async leave() {
      users--;
      if (users > 0 || files === null) return;
      await rm((await files).folder, { recursive: true, force: true });
      files = null;
    },
  };
}

async function makeFiles(operation: Operation): Promise<Files> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-large-'));
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const identity = await pki.issueUser({ address: SENDER });
  const files = {
    folder,
    certificate: identity.certificateFile,
    key: identity.keyFile,
    authority: pki.ca.certificateFile,
    large: join(folder, 'large.eml'),
    small: join(folder, 'small.eml'),
    megabytes: 0,
  };
  files.megabytes = (await writeMail(files.large, ATTACHMENT_MEGABYTES)) / MEGABYTE;
  await writeMail(files.small, 4);
  // What is to be opened was made by OpenSSL.
  const before = operation === 'decrypt' ? 'encrypt' : operation === 'verify' ? 'sign' : null;
  if (before !== null) {
    for (const size of ['large', 'small'] as const) {
      const input = files[size];
      files[size] = join(folder, `${size}-${before}.eml`);
      await runProgram('openssl', opensslArguments(before, files, { input, output: files[size] }));
    }
  }
  return files;
}

const ROWS = 10_000;
const ROW_OCTETS = 57;

/** Returns its octets. */
async function writeMail(path: string, megabytes: number): Promise<number> {
  let octets = 0;
  async function* mail(): AsyncIterable<Buffer> {
    yield crlf(
      `From: ${SENDER}\nTo: ${SENDER}\nSubject: Large\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="large"\n\n` +
        '--large\nContent-Type: text/plain\n\nHere it is.\n' +
        '--large\nContent-Type: application/octet-stream; name=large.bin\nContent-Transfer-Encoding: base64\n\n',
    );
    const block = Buffer.alloc(ROWS * ROW_OCTETS);
    for (let left = megabytes * MEGABYTE; left > 0; left -= block.length) {
      const text = randomFillSync(block).toString('base64', 0, Math.min(left, block.length));
      yield Buffer.from(text.replace(/.{1,76}/g, '$&\r\n'), 'latin1');
    }
    yield crlf('--large--\n');
  }
  async function* counted(): AsyncIterable<Buffer> {
    for await (const chunk of mail()) {
      octets += chunk.length;
      yield chunk;
    }
  }
  await pipeline(counted(), createWriteStream(path));
  return octets;
}

function crlf(text: string): Buffer {
  return Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1');
}

function opensslArguments(operation: Operation, files: Files, { input, output }: Job): readonly string[] {
  const file = ['-in', input, '-out', output];
  const key = ['-inkey', files.key];
  switch (operation) {
    case 'sign':
      return ['cms', '-sign', '-stream', '-crlfeol', ...file, '-signer', files.certificate, ...key];
    case 'encrypt':
      return ['cms', '-encrypt', '-stream', '-binary', '-aes256', ...file, files.certificate];
    case 'decrypt':
      return ['cms', '-decrypt', ...file, '-recip', files.certificate, ...key];
    case 'verify':
      return ['cms', '-verify', '-crlfeol', ...file, '-CAfile', files.authority];
  }
}

function openssl(operation: Operation, shared: ReturnType<typeof sharedFiles>): Contender {
  return {
    name: `openssl cms -${operation}`,
    role: 'peer',
    async start(): Promise<RunningContender> {
      const files = await shared.take();
      const output = join(files.folder, 'theirs.eml');
      return {
        async run(): Promise<Sample> {
          const cpuBefore = await treeCpuSeconds(process.pid);
          const start = performance.now();
          await runProgram('openssl', opensslArguments(operation, files, { input: files.large, output }));
          const seconds = (performance.now() - start) / 1000;
          const cpuSeconds = (await treeCpuSeconds(process.pid)) - cpuBefore;
          return { units: files.megabytes, seconds, cpuSeconds };
        },
        stop: () => shared.leave(),
      };
    },
  };
}

function ours(operation: Operation, shared: ReturnType<typeof sharedFiles>): Contender {
  return {
    name: `sealgate, ${operation}`,
    role: 'ours',
    async start(): Promise<RunningContender> {
      const files = await shared.take();
      const { certificate, key, authority, folder, small, large, megabytes } = files;
      const output = join(folder, 'ours.eml');
      const options = { operation, certificate, key, authority, warmUp: { input: small, output } };
      const worker = await startWorker(options);
      const { pid } = worker;
      if (pid === undefined) throw new Error('the process has no id');
      return {
        async run(): Promise<Sample> {
          const cpuBefore = await treeCpuSeconds(pid);
          const answer = nextMessage(worker);
          worker.send({ input: large, output } satisfies Job);
          const { seconds, memoryGrowth } = (await answer) as WorkerReport;
          const cpuSeconds = (await treeCpuSeconds(pid)) - cpuBefore;
          return { units: megabytes, seconds, cpuSeconds, memoryGrowth };
        },
        async stop() {
          const ended = once(worker, 'exit');
          worker.disconnect();
          await ended;
          await shared.leave();
        },
      };
    },
  };
}

async function startWorker(options: WorkerOptions): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('./large-message-worker.ts', import.meta.url));
  const worker = fork(program, [JSON.stringify(options)]);
  await nextMessage(worker);
  return worker;
}

/** Rejects when the process ends instead. */
function nextMessage(worker: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`the process ended with ${code}`));
    worker.once('exit', onExit);
    worker.once('message', (message) => {
      worker.off('exit', onExit);
      resolve(message);
    });
  });
}
