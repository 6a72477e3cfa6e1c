import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import type { Benchmark, Contender, RoundSize, Sample } from '../benchmark.ts';
import { treeCpuSeconds } from '../process-tree.ts';
import type { BareSignOrder } from './bare-sign-program.ts';
import { type BenchToken, benchToken, openPlace, SESSIONS } from './bench-keys.ts';

/** Requests that wait for each session, so that none is ever without work: as many mails are under way. */
const WAITING = 4;

export function tokenRate(): Benchmark {
  return {
    name: 'keys-token-rate',
    unit: 'signature',
    about: `RSA-2048 in SoftHSM2, ${SESSIONS} sessions, from the gateway's side; next to it C_Sign in a loop, ${SESSIONS} threads (${availableParallelism()} processors)`,
    contenders: [throughKeyClient(), bareLoop()],
  };
}

/** One token for both, so that both meet the same key. */
let shared: { token: Promise<BenchToken>; users: number } | null = null;

function useToken(): Promise<BenchToken> {
  shared ??= { token: benchToken(), users: 0 };
  shared.users++;
  return shared.token;
}

async function leaveToken(): Promise<void> {
  if (shared === null) return;
  shared.users--;
  if (shared.users > 0) return;
  const { token } = shared;
  shared = null;
  await (await token).remove();
}

function throughKeyClient(): Contender {
  return {
    name: 'sealgate, by its key process',
    role: 'ours',
    async start() {
      const { source } = await useToken();
      const { client, key } = await openPlace(source);
      const data = Buffer.from('the same for all');
      return {
        run: (size) =>
          measured(size, async (units) => {
            let left = units;
            const lane = async (): Promise<void> => {
              while (left-- > 0) {
                await client.perform({
                  ...{ kind: 'sign', key: key.key, input: 'message', data },
                  scheme: { kind: 'rsa-pkcs1', digest: 'sha256' },
                });
              }
            };
            await Promise.all(Array.from({ length: SESSIONS * WAITING }, lane));
          }),
        async stop() {
          await client.close();
          await leaveToken();
        },
      };
    },
  };
}

function bareLoop(): Contender {
  return {
    name: 'C_Sign in a loop',
    role: 'limit',
    async start() {
      const { module, tokenLabel, pin, environment } = await useToken();
      const child = fork(new URL('bare-sign-program.ts', import.meta.url), {
        env: { PATH: process.env.PATH ?? '', ...environment },
      });
      const order: BareSignOrder = { module, tokenLabel, pin, threads: SESSIONS };
      child.send(order);
      await once(child, 'message');
      return {
        run: (size) =>
          measured(size, async (units) => {
            child.send(units);
            await once(child, 'message');
          }),
        async stop() {
          const gone = once(child, 'exit');
          child.disconnect();
          await gone;
          await leaveToken();
        },
      };
    },
  };
}

/** CPU of this process and its children: of two contenders only one works at a time. */
async function measured(size: RoundSize, work: (units: number) => Promise<void>): Promise<Sample> {
  const units = size === 'quick' ? 4_000 : 20_000;
  const cpuBefore = await treeCpuSeconds(process.pid);
  const before = performance.now();
  await work(units);
  const seconds = (performance.now() - before) / 1000;
  return { units, seconds, cpuSeconds: (await treeCpuSeconds(process.pid)) - cpuBefore };
}
