import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SignatureScheme, SigningKey } from '../../src/cms/keys.ts';
import {
  type KeySources,
  type KeySourcesOptions,
  openKeySources,
  startKeyClient,
} from '../../src/hsm/key-sources.ts';
import type { KeyPlace } from '../../src/hsm/key-state.ts';
import type { KeySource, SoftwareSource, TokenSource } from '../../src/hsm/source-kinds.ts';
import { verifySignature } from '../../src/hsm/verify-signature.ts';
import type { Event } from '../../src/log/events.ts';
import { keyInventories } from '../../src/store/key-inventories.ts';
import { refusedSecrets } from '../../src/store/refused-secrets.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { Authority } from './support/authority.ts';
import { present, refusal } from './support/key-behaviour.ts';
import { secretFile, tokenPlace } from './support/key-place.ts';
import { SoftHsm } from './support/softhsm.ts';

/** Sources over real key processes: two tokens of SoftHSM2 with one imported identity, and files. */

const PIN = '271828';
const SHA256: SignatureScheme = { kind: 'ecdsa', digest: 'sha256' };
const authority = new Authority();
const softhsm = new SoftHsm();
const folder = mkdtempSync(join(tmpdir(), 'sealgate-live-'));
let tokens: TokenSource[];
let places: KeyPlace[] = [];
let events: Event[] = [];
let opened: KeySources[] = [];

beforeAll(() => {
  for (const name of ['shared', 'next']) {
    authority.newKey(`${name}.key`, 'p256');
    authority.certify(name, { address: `${name}@example.org` });
  }
  const pinFile = secretFile(authority, 'pin', PIN);
  tokens = ['first', 'second'].map((label) => {
    softhsm.newToken(label, PIN);
    softhsm.importKey(label, PIN, { id: '01', label: 'identity', name: 'shared' }, authority);
    return tokenPlace(label, pinFile, softhsm.environment, { sessions: 2 });
  });
});

afterEach(async () => {
  await Promise.all(opened.map((sources) => sources.close()));
  [opened, places, events] = [[], [], []];
});

afterAll(() => {
  softhsm.remove();
  authority.remove();
  rmSync(folder, { recursive: true, force: true });
});

function source(of: readonly (TokenSource | SoftwareSource)[]): KeySource {
  return { name: 'keys', use: 'sign-and-decrypt', usesPerMinute: null, places: of };
}

async function open(
  sources: readonly KeySource[],
  options: Partial<KeySourcesOptions> = {},
): Promise<KeySources> {
  const one = await openKeySources(sources, {
    log: { write: (event) => events.push(event) },
    startPlace(place) {
      const started = startKeyClient(place);
      places.push(started);
      return started;
    },
    ...options,
  });
  opened.push(one);
  return one;
}

async function signs(key: SigningKey, text: string): Promise<boolean> {
  const data = Buffer.from(text);
  return await verifySignature(key.certificate.publicKey, SHA256, data, await key.sign(SHA256, data));
}

describe('two tokens with one identity', () => {
  test('are one key, and both work at the same time', async () => {
    const sources = await open([source(tokens)]);
    expect(sources.signing.map(({ label }) => label)).toEqual(['keys/identity']);
    const key = present(sources.signing[0]);
    let bothAtWork = false;
    const all = Array.from({ length: 200 }, async (_, index) => {
      const good = await signs(key, `message ${index}`);
      bothAtWork ||= places.every(({ load }) => load > 0);
      return good;
    });
    expect(await Promise.all(all)).not.toContain(false);
    expect(bothAtWork).toBe(true);
  });

  test('one whose process is killed under load: everything is signed, the other stands in', async () => {
    const sources = await open([source(tokens)]);
    const key = present(sources.signing[0]);
    await signs(key, 'warm');
    let killed = 0;
    for (let round = 0; round < 3; round++) {
      const all = Array.from({ length: 60 }, (_, index) => signs(key, `${round} ${index}`));
      const victim = present(places[round % 2]);
      if (victim.processId !== null) {
        process.kill(victim.processId, 'SIGKILL');
        killed++;
      }
      expect(await Promise.all(all)).not.toContain(false);
    }
    expect(killed).toBeGreaterThan(0);
  });

  test('one that is not there at the start is told, and the other serves', async () => {
    const [first, second] = tokens.map(present);
    const gone = { ...present(second), token: { ...present(second).token, label: 'gone' } };
    const sources = await open([source([gone, present(first)])]);
    expect(await signs(present(sources.signing[0]), 'x')).toBe(true);
    expect(events).toContainEqual(expect.objectContaining({ event: 'key.place-absent', place: 'gone' }));
  });
});

test('attack: a wrong PIN that three entries have for one token reaches it once', async () => {
  const pin = { file: secretFile(authority, 'wrong-pin', '000000') };
  const entries = ['a', 'b', 'c'].map((name) => ({ ...source([{ ...present(tokens[0]), pin }]), name }));
  expect((await refusal(open(entries))).code).toBe('key.pin-incorrect');
  expect(events.filter(({ event }) => event === 'key.pin-refused')).toHaveLength(1);
});

describe('what is remembered', () => {
  test('a token that is out at the next start is known to be away, with the certificate it had', async () => {
    const store = await openSqlite(join(folder, 'state.sqlite'));
    const clock = () => new Date();
    const remembered = keyInventories(store, clock);
    const card = { ...present(tokens[0]), removable: true };
    const first = await open([source([card])], { remembered, awaitRemovable: true });
    expect(await signs(present(first.signing[0]), 'x')).toBe(true);
    await first.close();
    // The same choice of token, where there is none of that name any more.
    const empty = new SoftHsm();
    try {
      empty.newToken('another', PIN);
      const out = { ...card, environment: empty.environment };
      const second = await open([source([out])], {
        ...{ remembered, awaitRemovable: true },
        refusals: refusedSecrets(store, clock),
      });
      const key = present(second.signing[0]);
      expect(key.certificate.mailboxes).toEqual(['shared@example.org']);
      expect(key.standing).toBe('away');
      expect(await refusal(key.sign(SHA256, Buffer.from('x')))).toMatchObject({ duration: 'temporary' });
      await second.close();
    } finally {
      empty.remove();
      await store.close();
    }
  });
});

describe('a key file', () => {
  test('that is changed is read again without a restart; one that cannot be read leaves its key', async () => {
    const key = join(folder, 'mail.key');
    const certificate = join(folder, 'mail.crt');
    const put = (name: string): void => {
      copyFileSync(authority.path(`${name}.key`), key);
      copyFileSync(authority.path(`${name}.crt`), certificate);
    };
    put('shared');
    const sources = await open([source([{ kind: 'pem', key, certificate, passphrase: null }])]);
    const before = present(sources.signing[0]);
    expect([before.label, before.certificate.mailboxes]).toEqual(['keys', ['shared@example.org']]);
    put('next');
    expect(await sources.reload()).toMatchObject([{ source: 'keys', error: null }]);
    const after = present(sources.signing[0]);
    expect(after.certificate.mailboxes).toEqual(['next@example.org']);
    expect(await signs(after, 'x')).toBe(true);
    expect(await refusal(before.sign(SHA256, Buffer.from('x')))).toMatchObject({ duration: 'temporary' });
    rmSync(key);
    expect(await sources.reload()).toMatchObject([{ error: { code: 'key.file-unreadable' } }]);
    expect(await signs(present(sources.signing[0]), 'y')).toBe(true);
  });
});

describe('certificates beside a key', () => {
  /** A token of its own, gone after the use. */
  async function withToken(
    prepare: (token: SoftHsm) => void,
    changes: Partial<TokenSource>,
    use: (sources: KeySources) => Promise<void>,
  ): Promise<void> {
    const token = new SoftHsm();
    try {
      token.newToken('own', PIN);
      prepare(token);
      const place = tokenPlace('own', secretFile(authority, 'own.pin', PIN), token.environment, changes);
      const sources = await open([source([place])]);
      await use(sources);
      await sources.close();
    } finally {
      token.remove();
    }
  }

  /** Then the token tells whose certificate is whose. */
  function showPublicKey(token: SoftHsm, id: string): void {
    const der = authority.path('shared.pub.der');
    const pem = authority.path('shared.pub');
    authority.openssl('pkey', '-pubin', '-in', pem, '-outform', 'DER', '-out', der);
    token.tool('own', PIN, '--write-object', der, '--type', 'pubkey', '--id', id, '--label', 'public');
  }

  test('of another key under the same CKA_ID is not taken for its own', async () => {
    await withToken(
      (token) => {
        token.importKey('own', PIN, { id: '01', label: 'identity', name: 'shared' }, authority);
        showPublicKey(token, '01');
        token.writeCertificate(
          'own',
          PIN,
          { id: '01', label: 'wrong' },
          authority.path('next.crt'),
          authority,
        );
      },
      {},
      async (sources) => {
        expect(sources.signing.map(({ certificate }) => certificate.mailboxes)).toEqual([
          ['shared@example.org'],
        ]);
        expect(await signs(present(sources.signing[0]), 'x')).toBe(true);
      },
    );
  });

  test('that does not fit, where the token hides the public key, is found out by the first signature', async () => {
    await withToken(
      (token) => {
        token.importKey('own', PIN, { id: '07', label: 'one', name: 'shared' }, authority);
        token.tool('own', PIN, '--delete-object', '--type', 'cert', '--id', '07');
        token.writeCertificate('own', PIN, { id: '07', label: 'one' }, authority.path('next.crt'), authority);
      },
      {},
      async (sources) => {
        const key = present(sources.signing[0]);
        expect(key.certificate.mailboxes).toEqual(['next@example.org']);
        expect(await refusal(key.sign(SHA256, Buffer.from('x')))).toMatchObject({
          code: 'key.refused',
          publicText: expect.stringContaining('keys/one does not belong to its certificate'),
        });
      },
    );
  });

  test('kept in a file serve a key without one on the token, with their chain', async () => {
    const file = authority.path('shared-and-chain.crt');
    const bundle = Buffer.concat([authority.read('shared.crt'), authority.read('intermediate.crt')]);
    writeFileSync(file, bundle);
    const bare = (token: SoftHsm): void => {
      token.importKey('own', PIN, { id: '05', label: 'bare', name: 'shared' }, authority);
      showPublicKey(token, '05');
      token.tool('own', PIN, '--delete-object', '--type', 'cert', '--id', '05');
    };
    await withToken(bare, {}, async (sources) => expect(sources.signing).toEqual([]));
    await withToken(bare, { certificates: [file] }, async (sources) => {
      const key = present(sources.signing[0]);
      expect(key.certificate.mailboxes).toEqual(['shared@example.org']);
      expect(key.chain.map(({ subject }) => subject.text)).toEqual(['CN=Test Intermediate']);
      expect(await signs(key, 'x')).toBe(true);
    });
  });
});
