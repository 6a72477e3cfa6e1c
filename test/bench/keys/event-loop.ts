import { constants, publicEncrypt, randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { KeyClient } from '../../../src/hsm/client/key-client.ts';
import type { KeyDescription } from '../../../src/hsm/inventory.ts';
import type { Operation } from '../../../src/hsm/operation.ts';
import type { SoftwareSource, TokenSource } from '../../../src/hsm/source-kinds.ts';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import type { Benchmark, Contender, RoundSize, Sample } from '../benchmark.ts';
import { benchFile, benchToken, openPlace } from './bench-keys.ts';

/** Uses of a key under way at a time. */
const PARALLEL = 16;

export function keysEventLoop(): Benchmark {
  return {
    name: 'keys-event-loop',
    unit: 'use',
    about: `how long the gateway's event loop was blocked while keys were used, ${PARALLEL} uses under way; a timer each millisecond, most lateness of a round`,
    contenders: [
      using('signing, SoftHSM2, RSA-2048', tokenPlace, signing),
      using('signing, PEM file, RSA-2048', () => benchFile('rsa'), signing),
      using('signing, PEM file, P-256', () => benchFile('ec'), signing),
      using('decrypting, SoftHSM2, RSA-2048', tokenPlace, decrypting),
      using('decrypting, PEM file, RSA-2048', () => benchFile('rsa'), decrypting),
      reloading(),
      idle(),
    ],
  };
}

type Place = { source: TokenSource | SoftwareSource; remove(): Promise<void> };

async function tokenPlace(): Promise<Place> {
  return await benchToken();
}

function signing(key: KeyDescription): Operation {
  const scheme = key.schemes[0];
  if (scheme === undefined) throw new Error('no scheme');
  return { kind: 'sign', key: key.key, scheme, input: 'message', data: randomBytes(200) };
}

function decrypting({ key, certificate }: KeyDescription): Operation {
  const { publicKey } = parseCertificate(Buffer.from(certificate));
  const padding = constants.RSA_PKCS1_PADDING;
  const encryptedKey = publicEncrypt({ key: publicKey, padding }, randomBytes(32));
  return { kind: 'decrypt', key, scheme: { kind: 'rsa-pkcs1' }, encryptedKey };
}

function using(
  name: string,
  place: () => Promise<Place>,
  operationOf: (key: KeyDescription) => Operation,
): Contender {
  return {
    name,
    role: 'ours',
    async start() {
      const { source, remove } = await place();
      const { client, key } = await openPlace(source);
      const operation = operationOf(key);
      return {
        run: (size) =>
          blocked(size === 'quick' ? 1_000 : 5_000, (units) => perform(client, operation, units)),
        async stop() {
          await client.close();
          await remove();
        },
      };
    },
  };
}

async function perform(client: KeyClient, operation: Operation, units: number): Promise<void> {
  let left = units;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await client.perform(operation);
  };
  await Promise.all(Array.from({ length: PARALLEL }, lane));
}

function reloading(): Contender {
  return {
    name: 'reading a PKCS#12 file again',
    role: 'ours',
    async start() {
      const { source, remove } = await benchFile('rsa', 'pkcs12');
      const { client } = await openPlace(source);
      const units = (size: RoundSize): number => (size === 'quick' ? 10 : 50);
      return {
        run: (size) =>
          blocked(units(size), async (times) => {
            for (let i = 0; i < times; i++) await client.reload();
          }),
        async stop() {
          await client.close();
          await remove();
        },
      };
    },
  };
}

/** What the machine itself does to an event loop. */
function idle(): Contender {
  return {
    name: 'nothing, for half a second',
    role: 'limit',
    start: async () => ({
      run: () => blocked(1, () => new Promise((resolve) => setTimeout(resolve, 500))),
      stop: async () => undefined,
    }),
  };
}

async function blocked(units: number, work: (units: number) => Promise<void>): Promise<Sample> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const before = performance.now();
  await work(units);
  const seconds = (performance.now() - before) / 1000;
  delay.disable();
  return { units, seconds, cpuSeconds: null, worst: { 'event loop late by at most, ms': delay.max / 1e6 } };
}
