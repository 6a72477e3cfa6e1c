import { verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SignatureScheme } from '../../src/cms/keys.ts';
import { runProgram, runToEnd } from '../../src/evaluation/run-program.ts';
import type { ThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { KeyClient } from '../../src/hsm/client/key-client.ts';
import type { KeyClientOptions } from '../../src/hsm/client/key-client-options.ts';
import type { Inventory } from '../../src/hsm/inventory.ts';
import type { KeyState, Refusals } from '../../src/hsm/key-state.ts';
import type { TokenSource } from '../../src/hsm/source-kinds.ts';
import type { Event } from '../../src/log/events.ts';
import { openMessage } from '../../src/smime/open.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { requireCommand } from '../support/require-command.ts';
import type { Started } from '../support/services/disposable.ts';
import type { CardReader, Pcsc } from '../support/services/pcsc.ts';
import { services } from '../support/services/services.ts';
import type { VirtualCard } from '../support/services/virtual-card.ts';
import { openKeys } from './support/opened-keys.ts';
import { codeOf, present } from './support/refusal.ts';
import { workbench } from './support/workbench.ts';

/**
 * A card that comes and goes, as the gateway's side of its key process has it. Counters are read at the card itself: what it was
 * never asked it never was.
 */

const FOR_NOW = ['key.unavailable', 'temporary'];
const SHA256: SignatureScheme = { kind: 'rsa-pkcs1', digest: 'sha256' };

let pki: Started<ThrowawayPki>;
let service: Started<Pcsc>;
let folder: string;
const bench = workbench();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-card-'));
  pki = await services.pki();
  // One pcscd, two readers: what happens in one must not be felt in the other.
  service = await services.pcsc({ readers: 2 });
});

afterAll(async () => {
  await service.stop();
  await pki.stop();
  bench.remove();
  rmSync(folder, { recursive: true });
});

let pinFiles = 0;

function pinFile(pin: string): string {
  const file = join(folder, `${pinFiles++}.pin`);
  writeFileSync(file, `${pin}\n`, { mode: 0o600 });
  return file;
}

/** The token in this reader, or with this card's serial number. */
function source(at: { reader: CardReader } | { card: VirtualCard }, pin: TokenSource['pin']): TokenSource {
  return {
    kind: 'token',
    module: service.module,
    environment: service.env,
    token: {
      ...{ label: null, serial: null, model: null, manufacturer: null, reader: null },
      ...('reader' in at ? { reader: at.reader.name } : { serial: at.card.guid.slice(16) }),
    },
    objects: { object: null, id: null },
    pin,
    removable: true,
    sessions: 1,
    certificates: [],
  };
}

type Client = AsyncDisposable & {
  client: KeyClient;
  events: Event[];
  /** Settles when it stands like this. */
  is(kind: KeyState['kind']): Promise<KeyState>;
  sign(id: string): Promise<Buffer>;
  inventory(): Inventory;
};

function start(
  place: TokenSource,
  options: { times?: NonNullable<KeyClientOptions['times']>; refused?: Set<string> } = {},
): Client {
  const events: Event[] = [];
  const refused = options.refused ?? new Set<string>();
  const refusals: Refusals = { has: (each) => refused.has(each), add: (each) => void refused.add(each) };
  const client = KeyClient.start({
    ...{ source: 'card', place, refusals, log: { write: (event) => events.push(event) } },
    ...(options.times === undefined ? {} : { times: options.times }),
  });
  const waiting: { kind: KeyState['kind']; seen: (state: KeyState) => void }[] = [];
  client.onChange(() => {
    for (const each of waiting) if (each.kind === client.state.kind) each.seen(client.state);
  });
  const inventory = (): Inventory => {
    const { state } = client;
    if (state.kind !== 'open' && state.kind !== 'locked') throw new Error(`the card is ${state.kind}`);
    return state.inventory;
  };
  return {
    client,
    events,
    inventory,
    is: (kind) =>
      client.state.kind === kind
        ? Promise.resolve(client.state)
        : new Promise((seen) => {
            waiting.push({ kind, seen });
          }),
    sign(id) {
      const key = present(inventory().keys.find((each) => each.id === id)).key;
      return client.perform({ kind: 'sign', key, scheme: SHA256, input: 'message', data: HELLO });
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

const HELLO = Buffer.from('hello');

function isGood(signature: Buffer, card: VirtualCard, reference: string): boolean {
  const key = present(card.keys.find((each) => each.reference === reference)).publicKey;
  return verify('sha256', HELLO, key, signature);
}

function signer(address = 'erika@sealgate.test', options: { pinTries?: number } = {}): Promise<VirtualCard> {
  return service.newCard(pki, { address, keys: [{ reference: '9a' }, { reference: '9c' }], ...options });
}

afterEach(async () => {
  await Promise.all([service.reader(0).remove(), service.reader(1).remove()]);
});

describe('in and out', () => {
  const slot = (): CardReader => service.reader(0);

  test('out at the start, its certificates when it comes, its keys after the PIN, nothing when it goes, everything when it comes back', async () => {
    const card = await signer();
    await using at = start(source({ reader: slot() }, { file: pinFile(card.pin) }));
    await at.client.settled;
    expect(at.client.state.kind).toBe('absent');

    await slot().insert(card);
    await at.is('open');
    expect(at.inventory()).toMatchObject({
      seen: 'after-login',
      token: { pin: 'fine', reader: slot().name },
    });
    expect(at.inventory().keys.map(({ id, alwaysAuthenticate }) => [id, alwaysAuthenticate])).toEqual([
      ['01', false],
      ['02', true],
    ]);
    expect(isGood(await at.sign('01'), card, '9a')).toBe(true);
    const before = at.client.processId;

    await slot().remove();
    const state = await at.is('absent');
    expect(state).toMatchObject({ failure: { duration: 'temporary' }, last: { token: { pin: 'fine' } } });
    expect(await codeOf(at.client.perform({ ...SIGNING, key: 'whatever' }))).toEqual(FOR_NOW);

    await slot().insert(card);
    await at.is('open');
    // The process that knew the PIN is gone.
    expect(at.client.processId).not.toBe(before);
    expect(isGood(await at.sign('01'), card, '9a')).toBe(true);
    expect((await card.counters()).pinsPresented).toBe(2);
  });

  test('certificates are told before anybody has typed a PIN', async () => {
    const card = await signer();
    await using at = start(source({ reader: slot() }, { ask: 'pinentry', program: '/nonexistent/pinentry' }));
    await slot().insert(card);
    await at.is('locked');
    expect(at.inventory()).toMatchObject({ seen: 'before-login', token: { pin: 'fine' } });
    expect(at.inventory().keys.map(({ id }) => id)).toEqual(['01', '02']);
    expect((await card.counters()).pinsPresented).toBe(0);
    await slot().remove();
    await at.is('absent');
  });

  test('pulled out in the middle of a signature: that mail fails for now, and the next one does when the card is back', async () => {
    const card = await signer();
    await slot().insert(card);
    await using at = start(source({ reader: slot() }, { file: pinFile(card.pin) }));
    await at.is('open');
    const hold = await card.hold('operation');
    const signing = codeOf(at.sign('01'));
    await hold.reached;
    await slot().remove();
    expect(await signing).toEqual(FOR_NOW);
    await at.is('absent');
    await hold.release();
    await slot().insert(card);
    await at.is('open');
    expect(isGood(await at.sign('01'), card, '9a')).toBe(true);
    expect((await card.counters()).operations).toBe(1);
  });

  test('another card in the reader is not asked for anything, and gets no PIN', async () => {
    const [card, other] = await Promise.all([signer(), signer('max@sealgate.test')]);
    await slot().insert(card);
    await using at = start(source({ card }, { file: pinFile(card.pin) }));
    await at.is('open');
    await slot().remove();
    await at.is('absent');
    await slot().insert(other);
    await service.reader(1).insert(card);
    await at.is('open');
    // Wherever the right one is.
    expect(at.inventory().token).toMatchObject({ reader: service.reader(1).name });
    expect(await other.counters()).toMatchObject({ pinsPresented: 0, pinTriesLeft: 3 });
  });
});

describe('the PIN', () => {
  const slot = (): CardReader => service.reader(0);

  test('a wrong one from a file is sent once: not after re-insertion, not after a restart, but when the file has changed', async () => {
    const card = await signer();
    const file = pinFile('999999');
    const refused = new Set<string>();
    await slot().insert(card);
    {
      await using at = start(source({ reader: slot() }, { file }), { refused });
      expect(await at.is('refused')).toMatchObject({ failure: { code: 'key.pin-incorrect' } });
      await slot().remove();
      await at.is('absent');
      await slot().insert(card);
      await at.is('refused');
    }
    await using at = start(source({ reader: slot() }, { file }), { refused });
    await at.is('refused');
    expect(await card.counters()).toMatchObject({ pinsPresented: 1, pinTriesLeft: 2 });
    writeFileSync(file, card.pin);
    await at.is('open');
    expect(await card.counters()).toMatchObject({ pinsPresented: 2, pinTriesLeft: 3 });
  });

  test('the last try is left to people', async () => {
    const card = await signer('erika@sealgate.test', { pinTries: 1 });
    await slot().insert(card);
    await using at = start(source({ reader: slot() }, { file: pinFile(card.pin) }));
    expect(await at.is('refused')).toMatchObject({ failure: { code: 'key.pin-last-try' } });
    expect(await card.counters()).toMatchObject({ pinsPresented: 0, pinTriesLeft: 1 });
  });

  test('a blocked card is left alone until its PUK was given', async () => {
    const card = await signer('erika@sealgate.test', { pinTries: 2 });
    const env = { ...service.env, PIN: '999999' };
    await slot().insert(card);
    for (let tries = 0; tries < 2; tries++) {
      const module = ['--module', service.module, '--slot-description', slot().name];
      const login = [...module, '--login', '--pin', 'env:PIN', '--list-objects'];
      await runToEnd(await requireCommand('pkcs11-tool'), login, { env });
    }
    const { pinsPresented } = await card.counters();
    await using at = start(source({ reader: slot() }, { file: pinFile(card.pin) }));
    expect(await at.is('refused')).toMatchObject({ failure: { code: 'key.pin-locked' } });
    expect(await card.counters()).toMatchObject({ pinsPresented, pinTriesLeft: 0 });

    const unblock = ['--unblock-pin', '--auth-id', '01', '--puk', card.puk, '--new-pin', card.pin];
    await runProgram(await requireCommand('pkcs15-tool'), [...unblock, '--reader', '0'], { env });
    await at.is('open');
    expect(isGood(await at.sign('01'), card, '9a')).toBe(true);
  });

  test('goes to the card for every use of a key that wants it so', async () => {
    const card = await signer();
    await slot().insert(card);
    await using at = start(source({ reader: slot() }, { file: pinFile(card.pin) }));
    await at.is('open');
    const signatures = await Promise.all(
      Array.from({ length: 10 }, (_, n) => at.sign(n % 2 === 0 ? '02' : '01')),
    );
    expect(signatures.map((each, n) => isGood(each, card, n % 2 === 0 ? '9c' : '9a'))).not.toContain(false);
    expect(await card.counters()).toMatchObject({ pinsPresented: 6, operations: 10, pinTriesLeft: 3 });
  });

  test('a wrong one typed into another program ends the login; it is made again, as this one is known to be right', async () => {
    const card = await signer();
    await slot().insert(card);
    await using at = start(source({ reader: slot() }, { file: pinFile(card.pin) }));
    await at.is('open');
    const verify = ['--reader', '0', '--send-apdu', '00:20:00:80:08:39:39:39:39:39:39:FF:FF'];
    await runProgram(await requireCommand('opensc-tool'), verify, { env: service.env });
    expect(await card.triesLeft()).toMatchObject({ pin: 2 });
    expect(await codeOf(at.sign('01'))).toEqual(FOR_NOW);
    expect(isGood(await at.sign('01'), card, '9a')).toBe(true);
    expect(await card.triesLeft()).toMatchObject({ pin: 3 });
  });
});

describe('a card that does not answer any more', () => {
  test('is given up by the watchdog, while another card works; it is logged in to again when it answers', async () => {
    const [card, other] = await Promise.all([signer(), signer('max@sealgate.test')]);
    await Promise.all([service.reader(0).insert(card), service.reader(1).insert(other)]);
    // The other card, and this one when it answers again, sign within it, however busy the machine is.
    const times = { operation: 3_000 };
    await using at = start(source({ card }, { file: pinFile(card.pin) }), { times });
    await using beside = start(source({ card: other }, { file: pinFile(other.pin) }), { times });
    await Promise.all([at.is('open'), beside.is('open')]);
    const hold = await card.hold('operation');
    const signing = codeOf(at.sign('01'));
    await hold.reached;
    expect(isGood(await beside.sign('01'), other, '9a')).toBe(true);
    expect(await signing).toEqual(FOR_NOW);
    expect(at.events).toContainEqual(expect.objectContaining({ event: 'key.process-ended' }));
    expect(beside.events.some(({ event }) => event === 'key.process-ended')).toBe(false);
    await hold.release();
    expect(isGood(await at.sign('01'), card, '9a')).toBe(true);
  });
});

describe('mail', () => {
  test('is signed so that openssl finds it good, and what openssl encrypted is opened', async () => {
    const card = await service.newCard(pki, {
      address: 'erika@sealgate.test',
      keys: [{ reference: '9c' }, { reference: '9d' }],
    });
    await service.reader(0).insert(card);
    const keys = await openKeys(source({ card }, { file: pinFile(card.pin) }), bench);
    const message = Buffer.from('From: erika@sealgate.test\r\nSubject: Karte\r\n\r\nGuten Tag\r\n');
    const signed = await signMessage(message, present(keys.key('SIGN key').signing), {
      form: 'clear',
      at: new Date(),
    });
    const openssl = await requireCommand('openssl');
    const trust = ['cms', '-verify', '-CAfile', pki.ca.certificateFile];
    const verified = await runProgram(openssl, trust, { input: signed });
    expect(verified.stdout.toString('latin1')).toContain('Guten Tag');

    const certificate = present(card.keys[1]?.certificate);
    writeFileSync(bench.path('9d.crt'), certificate);
    const encrypt = ['cms', '-encrypt', '-aes-256-cbc', '-subject', 'Karte', bench.path('9d.crt')];
    const { stdout } = await runProgram(openssl, encrypt, {
      input: 'Content-Type: text/plain\r\n\r\nGeheim\r\n',
    });
    const key = present(keys.key('KEY MAN key').decryption);
    const opened = await openMessage(stdout, [key], { at: new Date(), anchors: [], pool: [] });
    expect(present(opened.entity).toString('latin1')).toContain('Geheim');
    await keys.close();
  });
});

const SIGNING = { kind: 'sign', scheme: SHA256, input: 'message', data: HELLO } as const;
