import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import type { Benchmark, Contender, Sample } from '../benchmark.ts';
import { spread } from '../summary.ts';
import { startGateway } from './gateway.ts';
import { MAIL_OCTETS, mailsOf, RECIPIENT, SENDER, startSink } from './load.ts';

/** Between two mails, so that each meets a gateway that has nothing to do. Milliseconds. */
const PAUSE_MS = 20;

/**
 * One mail after another as a mail program sends one, on a connection of its own, to the sink and through the gateway. smtp-source
 * tells no times of single mails, so the client is one of ours, the same for both.
 */
export function relayLatency(): Benchmark {
  return {
    name: 'relay-latency',
    unit: 'mail',
    about: 'one 10 KB mail at a time on a connection of its own, from connecting to the 250 for it',
    contenders: [gateway(), direct()],
  };
}

function gateway(): Contender {
  return {
    name: 'sealgate, signing with RSA-2048',
    role: 'ours',
    async start() {
      const sink = await startSink();
      const running = await startGateway(sink.port, { sign: true });
      // V8 has compiled the way by then, as in a gateway that has been there for a while.
      await oneByOne(running.port, 1_000, 0);
      return {
        run: (size) => oneByOne(running.port, mailsOf(size, 100, 300), PAUSE_MS),
        async stop() {
          await running.stop();
          await sink.stop();
        },
      };
    },
  };
}

function direct(): Contender {
  return {
    name: 'smtp-sink, nobody between',
    role: 'limit',
    async start() {
      const sink = await startSink();
      return {
        run: (size) => oneByOne(sink.port, mailsOf(size, 100, 300), PAUSE_MS),
        stop: () => sink.stop(),
      };
    },
  };
}

async function oneByOne(port: number, mails: number, pauseMs: number): Promise<Sample> {
  const times: number[] = [];
  for (let mail = 0; mail < mails; mail++) {
    await pause(pauseMs);
    times.push(await sendOne(port));
  }
  const seconds = times.reduce((sum, time) => sum + time, 0) / 1_000;
  return {
    units: mails,
    seconds,
    cpuSeconds: null,
    figures: { 'median of a mail, ms': spread(times).median },
  };
}

const BODY = `${'x'.repeat(76)}\r\n`;
const MAIL =
  `From: <${SENDER}>\r\nTo: <${RECIPIENT}>\r\nSubject: latency\r\n\r\n` +
  `${BODY.repeat(Math.ceil(MAIL_OCTETS / BODY.length))}.`;

/** Milliseconds from connecting to the 250 for the message. */
async function sendOne(port: number): Promise<number> {
  const before = performance.now();
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const replies = createInterface({ input: socket });
  let waiting: { code: string; resolve: () => void; reject: (error: Error) => void } | null = null;
  replies.on('line', (line) => {
    // The lines of a reply before its last one.
    if (line[3] === '-') return;
    if (waiting !== null && line.startsWith(waiting.code)) waiting.resolve();
    else waiting?.reject(new Error(`not the reply that was expected: ${line}`));
  });
  socket.on('error', (error) => waiting?.reject(error));
  const expect = (code: string) =>
    new Promise<void>((resolve, reject) => {
      waiting = { code, resolve, reject };
    });
  const say = (line: string, code: string) => {
    socket.write(`${line}\r\n`);
    return expect(code);
  };
  await expect('220');
  await say('EHLO latency.sealgate.test', '250');
  await say(`MAIL FROM:<${SENDER}>`, '250');
  await say(`RCPT TO:<${RECIPIENT}>`, '250');
  await say('DATA', '354');
  await say(MAIL, '250');
  const took = performance.now() - before;
  const closed = once(socket, 'close');
  await say('QUIT', '221');
  socket.end();
  await closed;
  return took;
}
