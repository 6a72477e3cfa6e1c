import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { freePort } from '../../../src/evaluation/free-port.ts';
import type { RoundSize, Sample } from '../benchmark.ts';
import { treeCpuSeconds } from '../process-tree.ts';
import { type Cores, onCores } from './cores.ts';

/** 10 KB mails over persistent connections, from Postfix's smtp-source into Postfix's smtp-sink. */
export const MAIL_OCTETS = 10_240;
export const SESSIONS = 10;
/** For programs in Node, before their first round: V8 compiles what is called often for as long as some forty thousand mails. */
export const WARM_UP_MAILS = 40_000;
export const SENDER = 'load@sealgate.test';
export const RECIPIENT = 'sink@sealgate.test';

/** Postfix's smtp-sink; it takes and forgets every mail. */
export type Sink = {
  port: number;
  /** Resolves when the sink has taken `mails` more than when this was called. */
  taking(mails: number): Promise<void>;
  stop(): Promise<void>;
};

/** @param cores on which it runs; null: anywhere */
export async function startSink(cores: Cores | null = null): Promise<Sink> {
  const port = await freePort();
  const [program, args] = onCores(cores, 'smtp-sink', [...sinkUser(), '-c', `127.0.0.1:${port}`, '1000']);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'close');
  let taken = 0;
  const counted = new EventEmitter();
  // With -c it reports `sess=1 quit=0 mesg=12` after every event.
  child.stdout.on('data', (text: Buffer) => {
    const last = text
      .toString('latin1')
      .match(/mesg=(\d+)/g)
      ?.at(-1);
    if (last === undefined) return;
    taken = Number(last.slice(5));
    counted.emit('count');
  });
  await awaitListening(port);
  return {
    port,
    async taking(mails) {
      const target = taken + mails;
      while (taken < target) await once(counted, 'count');
    },
    async stop() {
      child.kill();
      await gone;
    },
  };
}

/** Sends `mails` to `port` and waits until the sink has them all. `pid`: whose processes' time is counted; null: nobody's. */
export async function relayRound(
  port: number,
  sink: Sink,
  mails: number,
  pid: number | null,
  cores: Cores | null = null,
): Promise<Sample> {
  const cpuBefore = pid === null ? 0 : await treeCpuSeconds(pid);
  const taken = sink.taking(mails);
  const before = performance.now();
  const size = ['-d', '-s', String(SESSIONS), '-m', String(mails), '-l', String(MAIL_OCTETS)];
  const [program, args] = onCores(cores, 'smtp-source', [
    ...size,
    ...['-f', SENDER, '-t', RECIPIENT, `127.0.0.1:${port}`],
  ]);
  const sending = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  sending.stderr.on('data', (text: Buffer) => {
    complaint += text.toString('latin1');
  });
  const [code, signal] = (await once(sending, 'close')) as [number | null, string | null];
  if (code !== 0) throw new Error(`smtp-source ended with ${code ?? signal}: ${complaint}`);
  await taken;
  const seconds = (performance.now() - before) / 1000;
  const cpuSeconds = pid === null ? null : (await treeCpuSeconds(pid)) - cpuBefore;
  return { units: mails, seconds, cpuSeconds };
}

export function mailsOf(size: RoundSize, quick: number, full: number): number {
  return size === 'quick' ? quick : full;
}

/** smtp-sink refuses to run as root. */
function sinkUser(): string[] {
  return process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
}

/** Until somebody answers; the bound is for a server that never comes up. */
export async function awaitListening(port: number, attempts = 2_000): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const socket = connect({ host: '127.0.0.1', port });
    try {
      await once(socket, 'connect');
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
    } finally {
      socket.destroy();
    }
  }
  throw new Error(`nothing listens on port ${port}`);
}
