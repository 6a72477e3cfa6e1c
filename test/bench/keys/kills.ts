import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { stringify } from 'yaml';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { runToEnd } from '../../../src/evaluation/run-program.ts';
import { createThrowawayPki, type ThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { killUnderLoad } from '../../support/kills-under-load.ts';
import { childrenOf } from '../../support/processes.ts';
import { services } from '../../support/services/services.ts';
import type { Benchmark, Contender, RoundSize, Sample } from '../benchmark.ts';
import { awaitListening } from '../relay/load.ts';

const SENDER = 'load@sealgate.test';
const LANES = 6;
/** More than a hundred in all counted rounds together, quick or not. */
const KILLS: Readonly<Record<RoundSize, number>> = { quick: 34, full: 15 };

export function keysKills(): Benchmark {
  return {
    name: 'keys-kills',
    unit: 'mail',
    about: `mails over ${LANES} connections, signed in SoftHSM2, while the key process is killed again and again; every mail verified by openssl`,
    contenders: [gateway()],
  };
}

function gateway(): Contender {
  return {
    name: 'sealgate, its key process killed',
    role: 'ours',
    async start() {
      const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-kills-'));
      const pki = await createThrowawayPki(join(folder, 'pki'));
      const token = await services.softhsm({ tokenLabel: 'bench' });
      await token.generateKeys(pki, [{ address: SENDER, type: 'rsa-2048', label: 'load' }]);
      const sink = await startSink();
      const port = await freePort();
      const config = await writeConfiguration(folder, pki, token, { port, upstream: sink.port });
      const child = spawn(process.execPath, ['src/main.ts', 'serve', '--config', config], {
        stdio: 'inherit',
      });
      const gone = once(child, 'close');
      await awaitListening(port);
      let round = 0;
      return {
        run: (size) => killRound(`round-${round++}`, KILLS[size], port, child.pid ?? 0, sink.mails, pki),
        async stop() {
          child.kill('SIGTERM');
          await gone;
          await sink.stop();
          await token.stop();
          await rm(folder, { recursive: true, force: true });
        },
      };
    },
  };
}

type Token = Awaited<ReturnType<typeof services.softhsm>>;

async function writeConfiguration(
  folder: string,
  pki: ThrowawayPki,
  { module, tokenLabel, pin, env }: Token,
  { port, upstream }: { port: number; upstream: number },
): Promise<string> {
  const secrets = join(folder, 'secrets');
  await mkdir(secrets, { mode: 0o700 });
  const pinFile = join(secrets, 'pin');
  await writeFile(pinFile, `${pin}\n`, { mode: 0o600 });
  const config = join(folder, 'gateway.yaml');
  const to = { host: '127.0.0.1', port: upstream, tls: 'none' };
  const source = { kind: 'pkcs11', module, token: tokenLabel, pin: { file: pinFile }, environment: env };
  await writeFile(
    config,
    stringify({
      hostname: 'gateway.sealgate.test',
      stateFolder: join(folder, 'state'),
      submission: [
        { name: 'bench', host: '127.0.0.1', port, tls: 'none', assumeLogin: SENDER, upstream: to },
      ],
      keys: [{ name: 'hsm', ...source }],
      principals: { list: [{ login: SENDER, addresses: [SENDER], keys: ['hsm/load'] }] },
      trust: { anchors: [pki.ca.certificateFile] },
      policy: { rules: [{ name: 'bench', sign: 'require', encrypt: 'never' }] },
      log: { level: 'error' },
    }),
    { mode: 0o600 },
  );
  return config;
}

async function killRound(
  name: string,
  kills: number,
  port: number,
  gatewayPid: number,
  mails: Buffer[],
  pki: ThrowawayPki,
): Promise<Sample> {
  const idle = Array.from({ length: LANES }, () =>
    createTransport({ host: '127.0.0.1', port, ignoreTLS: true, pool: true, maxConnections: 1 }),
  );
  mails.length = 0;
  const before = performance.now();
  const { replies, deferred, recoveries } = await killUnderLoad({
    kills,
    lanes: LANES,
    async send(subject) {
      const transport = idle.pop();
      if (transport === undefined) throw new Error('more lanes than connections');
      try {
        const mail = {
          from: SENDER,
          to: 'somebody@example.org',
          subject: `${name}-${subject}`,
          text: subject,
        };
        return (await transport.sendMail(mail)).response;
      } catch (error) {
        const { response } = error as { response?: string };
        if (response === undefined) throw error;
        return response;
      } finally {
        idle.push(transport);
      }
    },
    keyProcess: () => keyProcessOf(gatewayPid),
  });
  const seconds = (performance.now() - before) / 1000;
  for (const transport of idle) transport.close();
  return {
    units: replies.size,
    seconds,
    cpuSeconds: null,
    worst: {
      'until signed again after a kill, ms': Math.max(...recoveries),
      'told to come again, mails a kill': deferred / kills,
      'lost, or there twice': await lostOrTwice(name, replies, mails),
      'not signed': await notSigned(mails, pki),
    },
  };
}

async function lostOrTwice(
  name: string,
  replies: ReadonlyMap<string, string>,
  mails: readonly Buffer[],
): Promise<number> {
  const arrived = new Map<string, number>();
  for (const mail of mails) {
    const subject = /^Subject: (\S+)\r$/m.exec(mail.toString('latin1'))?.[1] ?? '';
    arrived.set(subject, (arrived.get(subject) ?? 0) + 1);
  }
  const accepted = [...replies].filter(([, reply]) => reply.startsWith('250'));
  return accepted.filter(([subject]) => arrived.get(`${name}-${subject}`) !== 1).length;
}

async function notSigned(mails: readonly Buffer[], pki: ThrowawayPki): Promise<number> {
  let bad = 0;
  for (const mail of mails) {
    const { failure } = await runToEnd('openssl', ['cms', '-verify', '-CAfile', pki.ca.certificateFile], {
      input: mail,
    });
    if (failure !== null) bad++;
  }
  return bad;
}

/** The gateway's child that holds the token. */
async function keyProcessOf(gatewayPid: number): Promise<number | null> {
  const [child = null] = await childrenOf([gatewayPid]);
  return child;
}

/** Keeps all it is given. */
async function startSink(): Promise<{ port: number; mails: Buffer[]; stop(): Promise<void> }> {
  const mails: Buffer[] = [];
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS', 'AUTH'],
    authOptional: true,
    disableReverseLookup: true,
    logger: false,
    onData(stream, _session, callback) {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        mails.push(Buffer.concat(parts));
        callback(null, 'OK: kept');
      });
    },
  });
  // A client that breaks off is no failure of the server; without a listener it would end the process.
  server.on('error', () => undefined);
  const listening = server.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('the sink listens on no TCP port');
  return {
    port: address.port,
    mails,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
