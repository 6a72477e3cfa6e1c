import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { foundInMemory, privateKeyNeedles } from './support/process-memory.ts';

/** The searching itself: what finds nothing anywhere would prove nothing elsewhere. */

let child: ReturnType<typeof spawn>;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const pin = randomBytes(12).toString('hex');
const pem = (key: typeof rsa): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

beforeAll(async () => {
  const program = `
    const { createPrivateKey, sign } = require('node:crypto');
    process.once('message', ({ rsa, ec, pin }) => {
      globalThis.kept = { rsa: createPrivateKey(rsa), ec: createPrivateKey(ec), pin };
      sign('sha256', 'x', kept.rsa); sign('sha256', 'x', kept.ec);
      process.send('ready');
    });
    process.on('disconnect', () => process.exit());`;
  child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.send({ rsa: pem(rsa), ec: pem(ec), pin });
  await once(child, 'message');
});
afterAll(() => child?.kill('SIGKILL'));

it('finds a PIN and every secret number of keys in a process that holds them', async () => {
  const needles = new Map([
    ...privateKeyNeedles('rsa', pem(rsa)),
    ...privateKeyNeedles('ec', pem(ec)),
    ['PIN', Buffer.from(pin)] as const,
  ]);
  const found = await foundInMemory(child.pid ?? 0, needles);
  expect(found).toContain('PIN');
  for (const number of ['d', 'p', 'q']) {
    expect(found.filter((name) => name.startsWith(`${number} of rsa`))).not.toEqual([]);
  }
  expect(found.filter((name) => name.startsWith('d of ec'))).not.toEqual([]);
});

it('finds nothing that is not there', async () => {
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const needles = new Map([...privateKeyNeedles('other', pem(other)), ['random', randomBytes(24)] as const]);
  expect(await foundInMemory(child.pid ?? 0, needles)).toEqual([]);
});
