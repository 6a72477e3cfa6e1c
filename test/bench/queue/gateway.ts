import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { createThrowawayPki, type UserIdentity } from '../../../src/evaluation/throwaway-pki.ts';
import { newMailId } from '../../../src/ids.ts';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { DurableQueue } from '../../../src/queue/durable-queue.ts';
import { mailboxOf } from '../../../src/queue/own-mail.ts';
import { SpoolFolder } from '../../../src/queue/spool-folder.ts';
import { wrapSecret } from '../../../src/smime/wrapped-secret.ts';
import { groupedTransactions } from '../../../src/store/grouped-transactions.ts';
import { openQueueStore } from '../../../src/store/queue-migrations.ts';
import type { Contender, Sample } from '../benchmark.ts';
import { treeCpuSeconds } from '../process-tree.ts';
import { awaitListening, MAIL_OCTETS, mailsOf, RECIPIENT, SENDER } from '../relay/load.ts';

const TREE = fileURLToPath(new URL('../../../', import.meta.url));
const SESSIONS = 50;
const ADDRESS = 'gateway@sealgate.test';

/** The gateway in a process of its own, with a queue whose mail server is away: what it takes it keeps. */
export function queueContender({ queued }: { queued: number }): Contender {
  return {
    name:
      queued === 0 ? 'sealgate, delivery: queue' : `the same, ${queued.toLocaleString('en')} mails queued`,
    role: 'ours',
    async start() {
      const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-'));
      const pki = await createThrowawayPki(join(folder, 'pki'));
      const own = await pki.issueUser({ address: ADDRESS });
      const state = join(folder, 'state');
      await mkdir(state, { mode: 0o700 });
      if (queued > 0) await fill(state, own, queued);
      const port = await freePort();
      const config = await configuration(folder, { own, state, port });
      const args = [
        '--max-semi-space-size=8',
        'src/main.ts',
        'serve',
        '--no-upstream-check',
        '--config',
        config,
      ];
      const flags = (process.env.BENCH_GATEWAY_FLAGS ?? '').split(' ').filter((flag) => flag !== '');
      const gateway = spawn(process.execPath, [...flags, ...args], { cwd: TREE, stdio: 'inherit' });
      const gone = once(gateway, 'close');
      await awaitListening(port);
      return {
        run: (size) => round(port, mailsOf(size, 4_000, 20_000), gateway.pid ?? null),
        async stop() {
          gateway.kill('SIGTERM');
          await gone;
          await rm(folder, { recursive: true, force: true });
        },
      };
    },
  };
}

async function configuration(
  folder: string,
  { own, state, port }: { own: UserIdentity; state: string; port: number },
): Promise<string> {
  const file = join(folder, 'gateway.yaml');
  const away = { host: '127.0.0.1', port: await freePort(), tls: 'none' };
  const listener = {
    name: 'bench',
    host: '127.0.0.1',
    port,
    tls: 'none',
    assumeLogin: SENDER,
    delivery: 'queue',
  };
  const settings = {
    hostname: 'gateway.sealgate.test',
    stateFolder: state,
    submission: [{ ...listener, upstream: away }],
    keys: [{ name: 'gateway', kind: 'pem', certificate: own.certificateFile, key: own.keyFile }],
    principals: { list: [{ login: SENDER, addresses: [SENDER], keys: [] }] },
    policy: { rules: [{ name: 'bench', sign: 'never', encrypt: 'never' }] },
    queue: { key: 'gateway', address: ADDRESS, server: away },
    log: { level: 'error' },
  };
  await writeFile(file, stringify(settings), { mode: 0o600 });
  return file;
}

/** Mails that wait for their time: for the same server, each in its row and under its name. */
async function fill(state: string, own: UserIdentity, mails: number): Promise<void> {
  const certificate = parseCertificate(pemOctets(await readFile(own.certificateFile, 'utf8')));
  const store = groupedTransactions(await openQueueStore(state));
  const spool = await SpoolFolder.open(state, {
    seal: (octets) => wrapSecret(octets, certificate, true),
    open: async () => null,
  });
  const quiet = { log: { write: () => undefined }, work: { written: () => undefined }, router: null };
  const queue = new DurableQueue({ store, spool, clock: () => new Date(), ...quiet });
  const octets = Buffer.from(`From: ${SENDER}\r\n\r\n${'text '.repeat(100)}\r\n`);
  const due = new Date(Date.now() + 3_600_000);
  for (let done = 0; done < mails; done += 500) {
    await Promise.all(
      Array.from({ length: Math.min(500, mails - done) }, () =>
        queue.enqueue([
          {
            ...{ id: newMailId(), purpose: 'submitted', way: { kind: 'smtp' }, requireTls: 'no', octets },
            envelope: {
              ...{ reversePath: mailboxOf(SENDER), mailParameters: [] },
              recipients: [{ mailbox: mailboxOf(RECIPIENT), parameters: [] }],
            },
            ...{ notBefore: due, expiresAt: new Date(due.getTime() + 86_400_000) },
          },
        ]),
      ),
    );
  }
  await store.close();
}

function pemOctets(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
}

/** All mails are answered 250 when this resolves, or it rejects. */
async function round(port: number, mails: number, pid: number | null): Promise<Sample> {
  const cpuBefore = pid === null ? 0 : await treeCpuSeconds(pid);
  const before = performance.now();
  const size = ['-d', '-s', String(SESSIONS), '-m', String(mails), '-l', String(MAIL_OCTETS)];
  const load = [...size, '-f', SENDER, '-t', RECIPIENT, `127.0.0.1:${port}`];
  const sending = spawn('smtp-source', load, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  sending.stderr.on('data', (text: Buffer) => {
    complaint += text.toString('latin1');
  });
  const [code, signal] = (await once(sending, 'close')) as [number | null, string | null];
  if (code !== 0) throw new Error(`smtp-source ended with ${code ?? signal}: ${complaint}`);
  const seconds = (performance.now() - before) / 1000;
  return { units: mails, seconds, cpuSeconds: pid === null ? null : (await treeCpuSeconds(pid)) - cpuBefore };
}
