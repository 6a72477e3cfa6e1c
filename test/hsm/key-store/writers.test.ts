import { execFile, fork } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKeyStore, openKeyStore } from '../../../src/hsm/key-store/key-store.ts';
import { withLock } from '../../../src/hsm/key-store/store-lock.ts';
import { writePem } from '../../../src/pki/pem.ts';
import { refusal } from '../support/key-behaviour.ts';
import { Folders, type Person, person, unlockingKey } from './people.ts';

const folders = new Folders();
afterAll(() => folders.remove());

/**
 * A writer in a process of its own, killed when it is about to take its nth step in the folder: every change of the disk, and
 * every one that makes it last.
 */
const WRITER = `
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { readFileSync } from 'node:fs';
const [base, folder, what, at] = process.argv.slice(2);
let steps = 0;
const log = [];
const step = (name) => {
  log.push(name);
  if (++steps === Number(at)) process.kill(process.pid, 'SIGKILL');
};
for (const name of ['rename', 'unlink']) {
  const original = fs[name];
  fs[name] = (...args) => { step(name); return original(...args); };
}
const open = fs.open;
fs.open = async (path, flags, ...rest) => {
  if (flags === 'wx') step('create');
  const file = await open(path, flags, ...rest);
  for (const name of ['writeFile', 'sync']) {
    const original = file[name].bind(file);
    file[name] = (...args) => {
      step(name);
      // Half of it is there when the process dies.
      if (name === 'writeFile' && steps + 1 === Number(at)) return original(args[0].subarray(0, 100));
      return original(...args);
    };
  }
  return file;
};
syncBuiltinESMExports();
const { openKeyStore } = await import(base + 'src/hsm/key-store/key-store.ts');
const { unlockingKey } = await import(base + 'test/hsm/key-store/people.ts');
const { readCertificates } = await import(base + 'src/pki/certificate-file.ts');
const { createPrivateKey } = await import('node:crypto');
const person = (name) => ({
  privateKey: createPrivateKey(readFileSync(folder + '/../' + name + '.pem')),
  certificate: readCertificates(readFileSync(folder + '/../' + name + '.crt'))[0],
});
const store = await openKeyStore(folder, { key: unlockingKey(person('operator')) });
const alice = person('alice');
const options = { exportable: false, use: 'sign' };
switch (what) {
  case 'add': await store.add(alice.privateKey, [alice.certificate], { name: 'new', ...options }); break;
  case 'setCertificate': await store.setCertificate('pending', [alice.certificate]); break;
  case 'remove': await store.remove('pending'); break;
  case 'changeUnlock': await store.changeUnlock({ key: unlockingKey(person('alice')) }); break;
  case 'hold': {
    const { withLock } = await import(base + 'src/hsm/key-store/store-lock.ts');
    await withLock(folder, async () => {
      process.send('held');
      await new Promise((resolve) => process.once('message', resolve));
    });
    process.disconnect();
    break;
  }
  case 'many':
    for (let i = 0; i < 5; i++) await store.add(alice.privateKey, [], { name: at + '-' + i, ...options });
    break;
}
process.stdout.write(log.join(' '));
`;

const base = new URL('../../../', import.meta.url).href;
let writer: string;
let template: string;
let alice: Person;
let operator: Person;

beforeAll(async () => {
  template = folders.fresh();
  [alice, operator] = await Promise.all([person('p-256'), person('p-256', 'operator')]);
  const store = await createKeyStore(template, { key: unlockingKey(operator) });
  await store.add(alice.privateKey, [], { name: 'pending', exportable: false, use: 'sign' });
  writer = join(template, '..', 'writer.mjs');
  writeFileSync(writer, WRITER);
});

/** A store with one key, `pending`, beside the files of those who use it. */
function copy(): string {
  const folder = folders.fresh();
  cpSync(template, folder, { recursive: true, mode: 0 });
  for (const [name, { privateKey, certificate }] of Object.entries({ alice, operator })) {
    writeFileSync(join(folder, '..', `${name}.pem`), privateKey.export({ type: 'pkcs8', format: 'pem' }), {
      mode: 0o600,
    });
    writeFileSync(join(folder, '..', `${name}.crt`), writePem('CERTIFICATE', certificate.der));
  }
  return folder;
}

/** What the writer says it did; null: it was killed on the way. */
function write(folder: string, what: string, at: number | string): Promise<string | null> {
  const { promise, resolve, reject } = Promise.withResolvers<string | null>();
  execFile(process.execPath, [writer, base, folder, what, String(at)], (error, stdout) => {
    if (error === null) resolve(stdout);
    else if (error.signal === 'SIGKILL') resolve(null);
    else reject(error);
  });
  return promise;
}

async function contents(folder: string): Promise<string> {
  for (const holder of [operator, alice]) {
    try {
      const store = await openKeyStore(folder, { key: unlockingKey(holder) });
      const { keys, damaged } = await store.list();
      expect(damaged).toEqual([]);
      const list = keys.map(({ name, certificate }) => `${name}${certificate === null ? '?' : ''}`);
      return `${holder === operator ? 'operator' : 'alice'}: ${list.join(' ')}`;
    } catch (error) {
      if ((error as { code?: string }).code !== 'key.store-other-unlock') throw error;
    }
  }
  return 'nobody opens it';
}

const BEFORE = 'operator: pending?';

describe('a writer that is killed at any step', () => {
  test.each([
    ['add', 'operator: new pending?', 'create writeFile sync rename sync'],
    ['setCertificate', 'operator: pending', 'create writeFile sync rename sync'],
    ['changeUnlock', 'alice: pending?', 'create writeFile sync rename sync'],
    ['remove', 'operator: ', 'unlink sync'],
  ])(
    '%s: leaves what was there or what was to be there, and nobody waits for it',
    async (what, after, steps) => {
      // The first step of all is the lock's file, which is there.
      const all = `create ${steps}`.split(' ');
      const outcomes = await Promise.all(
        [...all, 'end'].map(async (_, i) => {
          const folder = copy();
          const said = await write(folder, what, i + 1);
          const now = await contents(folder);
          const store = await openKeyStore(folder, {
            key: unlockingKey(now.startsWith('alice') ? alice : operator),
          });
          await store.add(alice.privateKey, [], { name: 'later', exportable: false, use: 'sign' });
          expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
          return { said, now };
        }),
      );
      expect(outcomes.at(-1)).toEqual({ said: all.join(' '), now: after });
      for (const { said, now } of outcomes.slice(0, -1)) {
        expect(said).toBeNull();
        expect([BEFORE, after]).toContain(now);
      }
      // Both are met on the way: before and after the one step that counts.
      expect(new Set(outcomes.map(({ now }) => now))).toEqual(new Set([BEFORE, after]));
    },
  );
});

describe('two writers', () => {
  test('at once: both get done what they wanted', async () => {
    const folder = copy();
    await Promise.all([write(folder, 'many', 'one'), write(folder, 'many', 'two')]);
    const list = (await contents(folder)).split(' ');
    expect(list).toHaveLength(12);
  });

  test('in one process: one after the other', async () => {
    const folder = copy();
    const inside: string[] = [];
    const enter = (name: string) =>
      withLock(folder, async () => {
        inside.push(`${name} in`);
        await new Promise((resolve) => setImmediate(resolve));
        inside.push(`${name} out`);
      });
    await Promise.all([enter('one'), enter('two')]);
    expect(inside.join(', ')).toMatch(/^(one|two) in, \1 out, (one|two) in, \2 out$/);
  });

  test('one that holds the lock: the other waits, and goes on when that one is killed', async () => {
    const folder = copy();
    const holder = fork(writer, [base, folder, 'hold', '0']);
    await new Promise((resolve) => holder.once('message', resolve));
    const store = await openKeyStore(folder, { key: unlockingKey(operator) });
    let done = false;
    const adding = store
      .add(alice.privateKey, [], { name: 'new', exportable: false, use: 'sign' })
      .then(() => {
        done = true;
      });
    // Reading needs no lock.
    expect((await store.list()).keys).toHaveLength(1);
    // Whom nobody holds up is done by then, though he begins later.
    const elsewhere = await openKeyStore(copy(), { key: unlockingKey(operator) });
    await elsewhere.add(alice.privateKey, [], { name: 'new', exportable: false, use: 'sign' });
    expect(done).toBe(false);
    holder.kill('SIGKILL');
    await adding;
    expect(readFileSync(join(folder, 'new.key')).length).toBeGreaterThan(0);
  });

  test('a name that the other one took first is taken', async () => {
    const folder = copy();
    const key = { key: unlockingKey(operator) };
    const [one, two] = [await openKeyStore(folder, key), await openKeyStore(folder, key)];
    const add = (store: typeof one) =>
      store.add(alice.privateKey, [], { name: 'new', exportable: false, use: 'sign' });
    const outcomes = await Promise.allSettled([add(one), add(two)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await refusal(add(one))).code).toBe('key.store-name-taken');
  });
});
