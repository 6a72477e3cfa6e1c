import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startForegroundProcess } from '../../src/evaluation/foreground-process.ts';
import { runProgram, runToEnd } from '../../src/evaluation/run-program.ts';
import type { ThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { requireCommand } from '../support/require-command.ts';
import { type Started, temporaryFolder } from '../support/services/disposable.ts';
import type { Pcsc } from '../support/services/pcsc.ts';
import { services } from '../support/services/services.ts';
import { newCardKey } from '../support/services/virtual-card/card-key.ts';
import { dataObjects } from '../support/services/virtual-card/data-objects.ts';
import { PivCard } from '../support/services/virtual-card/piv-card.ts';
import type { CardInReader, VirtualCard } from '../support/services/virtual-card.ts';

/** The virtual card as programs see it that others wrote: it has to be a PIV card for them, or tests with it prove nothing. */

const ADDRESS = 'erika@sealgate.test';
const WRONG_PIN = '999999';
const NEW_PIN = '12345678';
const SIGN = ['--sign', '-m', 'SHA256-RSA-PKCS', '--id', '01', '-i', 'text', '-o', 'signature'];

let pki: Started<ThrowawayPki>;
let service: Started<CardInReader>;
let folder: { folder: string; remove: () => Promise<void> };

beforeAll(async () => {
  pki = await services.pki();
  folder = await temporaryFolder('virtual-card');
  service = await services.virtualCard(pki, {
    address: ADDRESS,
    keys: [
      { reference: '9a' },
      { reference: '9c' },
      { reference: '9d' },
      { reference: '9e', type: 'p-384' },
      { reference: '82', type: 'p-256' },
    ],
  });
  for (const key of service.card.keys) await writeFile(path(`${key.reference}.pub`), key.publicKey);
  await writeFile(path('text'), 'Guten Tag');
});

afterAll(async () => {
  await service.stop();
  await pki.stop();
  await folder.remove();
});

function path(name: string): string {
  return join(folder.folder, name);
}

type Outcome = { text: string; failure: string | null };

/** Of opensc-pkcs11.so, with PINs in the environment, where arguments say env:PIN and the like. */
async function pkcs11Tool(at: Pcsc, card: VirtualCard, ...args: string[]): Promise<Outcome> {
  const env = { ...at.env, PIN: card.pin, WRONG: WRONG_PIN, NEW: NEW_PIN };
  const tool = await requireCommand('pkcs11-tool');
  const { stdout, stderr, failure } = await runToEnd(tool, ['--module', at.module, ...args], {
    env,
    cwd: folder.folder,
  });
  return { text: `${stdout.toString('latin1')}${stderr}`, failure };
}

async function loggedIn(...args: string[]): Promise<Outcome> {
  return pkcs11Tool(service, service.card, '--login', '--pin', 'env:PIN', ...args);
}

async function openssl(...args: string[]): Promise<string> {
  const { stdout } = await runProgram(await requireCommand('openssl'), args, { cwd: folder.folder });
  return stdout.toString('latin1');
}

describe('what programs see', () => {
  test('opensc-tool a reader with a card and one without', async () => {
    const { stdout } = await runProgram(await requireCommand('opensc-tool'), ['-l'], { env: service.env });
    expect(stdout.toString('utf8').split('\n').slice(2, 4)).toEqual([
      expect.stringMatching(new RegExp(`^0 +Yes +${service.reader(0).name}$`)),
      expect.stringMatching(new RegExp(`^1 +No +${service.reader(1).name}$`)),
    ]);
  });

  test('piv-tool its serial number and its kind', async () => {
    const args = ['--serial', '--name'];
    const { stdout } = await runProgram(await requireCommand('piv-tool'), args, { env: service.env });
    const text = stdout.toString('latin1');
    expect(text.slice(0, 47).replaceAll(' ', '').toLowerCase()).toBe(service.card.guid);
    expect(text).toContain('Personal Identity Verification Card');
  });

  test('pkcs11-tool a token named by the certificate, its serial number the end of the GUID', async () => {
    const { text } = await pkcs11Tool(service, service.card, '--list-slots');
    expect(text).toMatch(`token label        : ${ADDRESS}`);
    expect(text).toMatch(`serial num         : ${service.card.guid.slice(16)}`);
    expect(text).toMatch(
      /token flags {8}: login required, rng, token initialized, PIN initialized\n[\s\S]*pin min\/max {8}: 4\/8/,
    );
  });

  test('certificates before login, private keys after it', async () => {
    const ids = (text: string, kind: string): string[] =>
      [...text.matchAll(new RegExp(`^${kind}[\\s\\S]*?ID: +(\\d+)$`, 'gm'))].map(([, id]) => id ?? '').sort();
    const before = (await pkcs11Tool(service, service.card, '--list-objects')).text;
    expect(ids(before, 'Certificate Object')).toEqual(['01', '02', '03', '04', '05']);
    // Card authentication wants no PIN.
    expect(ids(before, 'Private Key Object')).toEqual(['04']);
    const after = (await loggedIn('--list-objects')).text;
    expect(ids(after, 'Private Key Object')).toEqual(['01', '02', '03', '04', '05']);
    expect(after.match(/always authenticate/g)).toHaveLength(1);
  });

  test('certificates that are stored compressed', async () => {
    const card = await service.newCard(pki, { keys: [{ reference: '9a', type: 'p-256' }], compressed: true });
    await service.reader(1).insert(card);
    const args = [
      '--slot-description',
      service.reader(1).name,
      '--read-object',
      '--type',
      'cert',
      '--id',
      '01',
    ];
    const { failure } = await pkcs11Tool(service, card, ...args, '-o', 'read.der');
    await service.reader(1).remove();
    expect(failure).toBeNull();
    const pem = await openssl('x509', '-inform', 'DER', '-in', 'read.der');
    expect(pem.trim()).toBe(card.keys[0]?.certificate?.trim());
  });
});

describe('what its keys do, as openssl sees it', () => {
  test.each([
    { key: '9a', id: '01', mechanism: 'SHA256-RSA-PKCS', options: [] },
    { key: '9a', id: '01', mechanism: 'SHA256-RSA-PKCS-PSS', options: ['-sigopt', 'rsa_padding_mode:pss'] },
    { key: '9c', id: '02', mechanism: 'SHA512-RSA-PKCS', options: ['-sha512'] },
  ])('$key signs with $mechanism', async ({ key, id, mechanism, options }) => {
    const signed = await loggedIn('--sign', '-m', mechanism, '--id', id, '-i', 'text', '-o', 'signature');
    expect(signed.failure).toBeNull();
    const verify = ['-verify', `${key}.pub`, '-signature', 'signature', 'text'];
    expect(await openssl('dgst', '-sha256', ...options, ...verify)).toBe('Verified OK\n');
  });

  test('9e signs with ECDSA', async () => {
    const how = ['--sign', '-m', 'ECDSA-SHA384', '--signature-format', 'openssl', '--id', '04'];
    expect((await loggedIn(...how, '-i', 'text', '-o', 'signature')).failure).toBeNull();
    const verify = ['-verify', '9e.pub', '-signature', 'signature', 'text'];
    expect(await openssl('dgst', '-sha384', ...verify)).toBe('Verified OK\n');
  });

  test('9d opens what was encrypted for it', async () => {
    const encrypt = ['pkeyutl', '-encrypt', '-pubin', '-inkey', '9d.pub', '-in', 'text', '-out', 'encrypted'];
    await openssl(...encrypt);
    const decrypt = ['--decrypt', '-m', 'RSA-PKCS', '--id', '03', '-i', 'encrypted', '-o', 'opened'];
    expect((await loggedIn(...decrypt)).failure).toBeNull();
    await runProgram('cmp', ['text', 'opened'], { cwd: folder.folder });
  });

  test('a retired key agrees on the same secret', async () => {
    await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'own.key');
    await openssl('pkey', '-in', 'own.key', '-pubout', '-outform', 'DER', '-out', 'own.pub');
    const derive = ['--derive', '-m', 'ECDH1-DERIVE', '--id', '05', '-i', 'own.pub', '-o', 'secret'];
    expect((await loggedIn(...derive)).failure).toBeNull();
    await openssl('pkeyutl', '-derive', '-inkey', 'own.key', '-peerkey', '82.pub', '-out', 'same-secret');
    await runProgram('cmp', ['secret', 'same-secret'], { cwd: folder.folder });
  });

  test('9c wants the PIN for each use, the others once', async () => {
    const presented = async (id: string): Promise<number> => {
      const before = await service.card.counters();
      const how = ['--sign', '-m', 'SHA256-RSA-PKCS', '--id', id, '-i', 'text', '-o', 'signature'];
      expect((await loggedIn(...how)).failure).toBeNull();
      const after = await service.card.counters();
      expect(after.operations - before.operations).toBe(1);
      return after.pinsPresented - before.pinsPresented;
    };
    expect(await presented('01')).toBe(1);
    expect(await presented('02')).toBe(2);
  });
});

describe('PIN and PUK', () => {
  test('a wrong PIN takes a try, the last ones are told, none is left, the PUK brings them back', async () => {
    await using own = await services.virtualCard(pki, {
      keys: [{ reference: '9a' }],
      pinTries: 3,
      pukTries: 2,
    });
    const { card } = own;
    const flags = async (): Promise<string> =>
      /token flags +: (.*)/.exec((await pkcs11Tool(own, card, '--list-slots')).text)?.[1] ?? '';
    const log = async (pin: string): Promise<string> => {
      const { text } = await pkcs11Tool(own, card, '--login', '--pin', `env:${pin}`, '--list-objects');
      return /CKR_\w+/.exec(text)?.[0] ?? 'logged in';
    };
    expect(await log('WRONG')).toBe('CKR_PIN_INCORRECT');
    expect(await card.triesLeft()).toEqual({ pin: 2, puk: 2 });
    expect(await flags()).not.toMatch(/low|final|locked/);
    expect(await log('PIN')).toBe('logged in');
    expect(await card.triesLeft()).toEqual({ pin: 3, puk: 2 });

    await log('WRONG');
    await log('WRONG');
    expect(await flags()).toContain('final user PIN try');
    // Another place and no power in between: the counter is the card's.
    await own.remove();
    await own.reader(1).insert(card);
    expect(await card.triesLeft()).toEqual({ pin: 1, puk: 2 });
    expect(await log('WRONG')).toBe('CKR_PIN_INCORRECT');
    expect(await flags()).toContain('user PIN locked');
    const { pinsPresented } = await card.counters();
    expect(await log('PIN')).toBe('CKR_PIN_LOCKED');
    expect(await card.counters()).toMatchObject({ pinsPresented, pinTriesLeft: 0 });

    const unblock = async (puk: string): Promise<string | null> => {
      const args = ['--unblock-pin', '--auth-id', '01', '--puk', puk, '--new-pin', NEW_PIN];
      // One of the reader names that there is a card in.
      return (
        await runToEnd(await requireCommand('pkcs15-tool'), [...args, '--reader', '1'], { env: own.env })
      ).failure;
    };
    expect(await unblock('00000000')).not.toBeNull();
    expect(await card.triesLeft()).toEqual({ pin: 0, puk: 1 });
    expect(await unblock(card.puk)).toBeNull();
    expect(await card.triesLeft()).toEqual({ pin: 3, puk: 2 });
    expect(await log('PIN')).toBe('CKR_PIN_INCORRECT');
    expect(await log('NEW')).toBe('logged in');
  });

  test('a PIN that is none of 6 to 8 digits costs no try', async () => {
    const before = await service.card.counters();
    for (const pin of ['1234', 'abcdefgh']) {
      expect((await pkcs11Tool(service, service.card, '--login', '--pin', pin, '-O')).failure).not.toBeNull();
    }
    expect(await service.card.counters()).toMatchObject({
      pinsPresented: before.pinsPresented,
      pinTriesLeft: 3,
    });
  });

  test('is changed', async () => {
    const { card } = service;
    const change = (old: string, fresh: string): Promise<Outcome> =>
      pkcs11Tool(
        service,
        card,
        '--login',
        '--pin',
        `env:${old}`,
        '--change-pin',
        '--new-pin',
        `env:${fresh}`,
      );
    expect((await change('PIN', 'NEW')).failure).toBeNull();
    expect((await loggedIn('-O')).failure).not.toBeNull();
    expect((await change('NEW', 'PIN')).failure).toBeNull();
    expect(await card.triesLeft()).toEqual({ pin: 3, puk: 3 });
  });
});

describe('in and out', () => {
  test('pulled out in the middle of a signature, which then never happens', async () => {
    const { operations } = await service.card.counters();
    const hold = await service.card.hold('operation');
    // Ended by hand: OpenSC before 0.24 may wait for itself after that.
    const tool = await startForegroundProcess(
      await requireCommand('pkcs11-tool'),
      ['--module', service.module, '--login', '--pin', 'env:PIN', ...SIGN],
      { env: { ...service.env, PIN: service.card.pin }, cwd: folder.folder },
    );
    await hold.reached;
    await service.remove();
    await hold.release();
    await tool.stop(0);
    expect((await service.card.counters()).operations).toBe(operations);
    await service.insert();
  });

  test('a command that takes its time is answered when the card goes on', async () => {
    const hold = await service.card.hold('operation');
    const signing = loggedIn(
      '--sign',
      '-m',
      'SHA256-RSA-PKCS',
      '--id',
      '01',
      '-i',
      'text',
      '-o',
      'signature',
    );
    await hold.reached;
    await hold.release();
    expect((await signing).failure).toBeNull();
  });

  test('two services side by side know nothing of each other', async () => {
    await using other = await services.pcsc({ readers: 3 });
    const card = await other.newCard(pki, {
      address: 'max@sealgate.test',
      keys: [{ reference: '9a', type: 'p-256' }],
    });
    await other.reader(2).insert(card);
    const [here, there] = await Promise.all([
      pkcs11Tool(service, service.card, '--list-token-slots'),
      pkcs11Tool(other, card, '--list-token-slots'),
    ]);
    expect(here.text.match(/token label.*/g)).toEqual([expect.stringContaining(ADDRESS)]);
    expect(there.text.match(/token label.*/g)).toEqual([expect.stringContaining('max@sealgate.test')]);
    expect(there.text).toContain(other.reader(2).name);
  });
});

test('whatever octets come, the card answers with a status word and no key is used', async () => {
  const key = await newCardKey('p-256');
  const objects = dataObjects({ guid: Buffer.alloc(16, 1), certificates: new Map(), compressed: false });
  const card = new PivCard(new Map([['9a', key]]), objects, {
    ...{ pin: '471100', puk: '00471100', pinTries: 3, pukTries: 3 },
  });
  const header = fc.tuple(
    fc.constantFrom(0x00, 0x10, 0x0c),
    fc.constantFrom(0x20, 0x24, 0x2c, 0x87, 0xa4, 0xc0, 0xcb),
    fc.constantFrom(0x00, 0x04, 0x11, 0x3f, 0xff),
    fc.constantFrom(0x00, 0x80, 0x81, 0x9a, 0xff),
  );
  const command = fc
    .tuple(header, fc.uint8Array({ maxLength: 40 }))
    .map(([head, body]) => Buffer.from([...head, ...body]));
  fc.assert(
    fc.property(
      fc.array(fc.oneof(command, fc.uint8Array({ maxLength: 300 })), { maxLength: 20 }),
      (commands) => {
        for (const octets of commands) {
          const response = card.transmit(Buffer.from(octets));
          expect(response.length).toBeGreaterThanOrEqual(2);
          expect(response.length).toBeLessThanOrEqual(255);
        }
      },
    ),
  );
  expect(card.counters.operations).toBe(0);
});
