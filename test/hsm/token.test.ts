import { execFile } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OpenTokenOptions, openToken, type Token } from '../../src/hsm/token.ts';
import type { Event } from '../../src/log/events.ts';
import { Secret } from '../../src/log/secret.ts';
import { readCertificates } from '../../src/pki/certificate-file.ts';
import { Authority } from './support/authority.ts';
import { present, refusal } from './support/key-behaviour.ts';
import { SoftHsm, softhsmModule } from './support/softhsm.ts';

const PIN = '5820974944';
const authority = new Authority();
const softhsm = new SoftHsm();
const events: Event[] = [];

beforeAll(() => {
  softhsm.newToken('office', PIN);
  const wish = { address: 'alice@example.org' };
  softhsm.newKey('office', PIN, { id: '01', label: 'alice', type: 'rsa:2048' }, authority, wish);
  softhsm.newKey('office', PIN, { id: '02', label: 'bob', type: 'EC:prime256v1' }, authority, wish);
});

afterAll(() => {
  softhsm.remove();
  authority.remove();
});

function options(changes: Partial<OpenTokenOptions> = {}): OpenTokenOptions {
  return {
    module: softhsmModule,
    token: { label: 'office' },
    pin: new Secret(PIN),
    log: { write: (event) => events.push(event) },
    environment: softhsm.environment,
    ...changes,
  };
}

async function withToken<T>(
  changes: Partial<OpenTokenOptions>,
  use: (token: Token) => Promise<T>,
): Promise<T> {
  const token = await openToken(options(changes));
  try {
    return await use(token);
  } finally {
    await token.close();
  }
}

const signHello = (token: Token): Promise<Buffer> => {
  const key = present(token.signingKeys()[0]);
  return key.sign(present(key.schemes[0]), Buffer.from('hello'));
};

describe('finding a token', () => {
  test('by label, whatever number its slot has today', async () => {
    await withToken({}, async (token) => {
      expect(token.label).toBe('office');
      expect(
        token
          .signingKeys()
          .map((key) => key.label)
          .sort(),
      ).toEqual(['office/alice', 'office/bob']);
    });
  });

  test('by serial number, under a name of its own', async () => {
    const serial = await withToken({}, async (token) => token.serial);
    await withToken({ token: { serial }, name: 'hsm' }, async (token) => {
      expect(
        token
          .signingKeys()
          .map((key) => key.label)
          .sort(),
      ).toEqual(['hsm/alice', 'hsm/bob']);
    });
  });

  test('a token that is not there is temporary, and the sentence names those that are', async () => {
    const error = await refusal(openToken(options({ token: { label: 'elsewhere' } })));
    expect([error.code, error.duration]).toEqual(['key.token-absent', 'temporary']);
    expect(error.publicText).toMatch(/“elsewhere”.*“office” \(serial/s);
  });

  test('two tokens of one label are not guessed between', async () => {
    const twins = new SoftHsm();
    try {
      twins.newToken('twin', PIN);
      twins.newToken('twin', PIN);
      const error = await refusal(
        openToken(options({ token: { label: 'twin' }, environment: twins.environment })),
      );
      expect([error.code, error.duration]).toEqual(['key.token-ambiguous', 'permanent']);
      expect(error.publicText).toMatch(/serial number: [0-9a-f]+, [0-9a-f]+/);
    } finally {
      twins.remove();
    }
  });

  test('a module that does not exist', async () => {
    const error = await refusal(openToken(options({ module: '/nowhere/libpkcs11.so' })));
    expect([error.code, error.duration]).toEqual(['key.module-unreadable', 'permanent']);
    expect(error.publicText).toContain('/nowhere/libpkcs11.so');
  });

  test('a file that is not a library, and a library that is not PKCS#11', async () => {
    const text = authority.path('module.so');
    writeFileSync(text, 'not a library');
    const libraries = [text, ...libc()];
    expect(libraries.length).toBeGreaterThan(1);
    for (const module of libraries) {
      const error = await refusal(openToken(options({ module })));
      expect(error.code).toBe('key.module-unreadable');
      expect(error.publicText).toContain(module);
    }
  });
});

/** The C library of this process: a library without C_GetFunctionList. */
function libc(): string[] {
  const line = readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .find((each) => /\/lib(c|m)[.-]/.test(each));
  return line === undefined ? [] : [line.slice(line.indexOf('/'))];
}

describe('keys stay inside', () => {
  test('generated in the token: sensitive, never extractable, and its objects hold no value', async () => {
    const listing = softhsm.tool('office', PIN, '--list-objects', '--type', 'privkey').toString();
    expect(listing.match(/Access: +sensitive, always sensitive, never extractable, local/g)).toHaveLength(2);
    await withToken({}, signHello);
    // Whatever this process can reach of the token object, it is no private key.
    await withToken({}, async (token) => {
      for (const key of [...token.signingKeys(), ...token.decryptionKeys()]) {
        for (const value of Object.values(key)) {
          if (Buffer.isBuffer(value)) expect(() => createPrivateKey(value)).toThrow();
        }
      }
    });
  });

  test('a certificate of another key under the same CKA_ID is not taken for the key’s own', async () => {
    const mixed = new SoftHsm();
    try {
      mixed.newToken('mixed', PIN);
      const wish = { address: 'mallory@example.org' };
      mixed.newKey('mixed', PIN, { id: '01', label: 'right', type: 'rsa:2048' }, authority, wish);
      authority.newKey('other.key', 'rsa');
      mixed.writeCertificate(
        'mixed',
        PIN,
        { id: '01', label: 'wrong' },
        authority.certify('other', wish),
        authority,
      );
      await withToken({ token: { label: 'mixed' }, environment: mixed.environment }, async (token) => {
        expect(token.signingKeys().map((key) => key.certificate.serialNumber.toString('hex'))).toHaveLength(
          1,
        );
        await signHello(token);
      });
    } finally {
      mixed.remove();
    }
  });

  test('where the token hides the public key, a certificate that does not fit is found out by the first signature', async () => {
    const mixed = new SoftHsm();
    try {
      mixed.newToken('mixed', PIN);
      const wish = { address: 'mallory@example.org' };
      for (const name of ['ec-one', 'ec-two']) {
        authority.newKey(`${name}.key`, 'p256');
        authority.certify(name, wish);
      }
      mixed.importKey('mixed', PIN, { id: '07', label: 'one', name: 'ec-one' }, authority);
      const sound = await withToken({ token: { label: 'mixed' }, environment: mixed.environment }, signHello);
      expect(sound.length).toBeGreaterThan(60);
      mixed.tool('mixed', PIN, '--delete-object', '--type', 'cert', '--id', '07');
      mixed.writeCertificate(
        'mixed',
        PIN,
        { id: '07', label: 'one' },
        authority.path('ec-two.crt'),
        authority,
      );
      await withToken({ token: { label: 'mixed' }, environment: mixed.environment }, async (token) => {
        const error = await refusal(signHello(token));
        expect([error.code, error.publicText]).toEqual(['key.refused', expect.stringContaining('mixed/one')]);
      });
    } finally {
      mixed.remove();
    }
  });

  test('a certificate kept in a file serves a key without one on the token', async () => {
    const bare = new SoftHsm();
    try {
      bare.newToken('bare', PIN);
      bare.tool(
        'bare',
        PIN,
        '--keypairgen',
        '--key-type',
        'rsa:2048',
        '--id',
        '05',
        '--label',
        'no-cert',
        '--usage-sign',
      );
      const file = bare.certify('bare', PIN, '05', authority, { address: 'carol@example.org' });
      const chain = [readFileSync(file), authority.read('intermediate.crt')];
      const certificates = readCertificates(Buffer.concat(chain));
      const token = { token: { label: 'bare' }, environment: bare.environment };
      await withToken(token, async (opened) => expect(opened.signingKeys()).toEqual([]));
      await withToken({ ...token, certificates }, async (opened) => {
        const key = present(opened.signingKeys()[0]);
        expect(key.certificate.mailboxes).toEqual(['carol@example.org']);
        expect(key.chain.map((each) => each.subject.text)).toEqual(['CN=Test Intermediate']);
        await signHello(opened);
      });
    } finally {
      bare.remove();
    }
  });
});

describe('the PIN', () => {
  test('a wrong one is refused with a clear sentence, used one try, and is not tried again', async () => {
    const fresh = new SoftHsm();
    try {
      fresh.newToken('fresh', PIN);
      const wrong = options({
        token: { label: 'fresh' },
        environment: fresh.environment,
        pin: new Secret('00000000'),
      });
      const error = await refusal(openToken(wrong));
      expect([error.code, error.duration]).toEqual(['key.pin-incorrect', 'permanent']);
      expect(error.publicText).toContain('“fresh” refused the PIN, and few tries are left');
      expect(`${error.message}${error.stack}`).not.toContain('00000000');
    } finally {
      fresh.remove();
    }
  });

  test('an empty one is said before anything is started', async () => {
    const error = await refusal(openToken(options({ pin: new Secret('') })));
    expect([error.code, error.duration]).toEqual(['key.pin-missing', 'permanent']);
  });

  test('changed behind a running gateway: refused once after the next start, then never sent again', async () => {
    const office = new SoftHsm();
    try {
      office.newToken('changing', PIN);
      const wish = { address: 'alice@example.org' };
      office.newKey('changing', PIN, { id: '01', label: 'alice', type: 'EC:prime256v1' }, authority, wish);
      await withToken({ token: { label: 'changing' }, environment: office.environment }, async (token) => {
        await signHello(token);
        office.tool('changing', PIN, '--change-pin', '--new-pin', '99999999');
        process.kill(present(token.processId), 'SIGKILL');
        const codes = new Set<string>();
        while (!codes.has('key.pin-incorrect')) codes.add((await refusal(signHello(token))).code);
        expect([...codes].filter((code) => code !== 'key.unavailable')).toEqual(['key.pin-incorrect']);
        expect(token.processId).toBeNull();
        for (let i = 0; i < 5; i++) expect((await refusal(signHello(token))).code).toBe('key.pin-incorrect');
        expect(token.processId).toBeNull();
      });
      expect(
        events.filter((event) => event.event === 'key.pin-refused' && event.token === 'changing'),
      ).toHaveLength(1);
    } finally {
      office.remove();
    }
  });

  test('is in no command line, no environment, no log line and no error', async () => {
    await withToken({}, async (token) => {
      await signHello(token);
      const found = readdirSync('/proc')
        .filter((name) => /^[0-9]+$/.test(name))
        .filter((pid) =>
          ['cmdline', 'environ'].some((file) => readOrEmpty(`/proc/${pid}/${file}`).includes(PIN)),
        );
      expect(found).toEqual([]);
      expect(readOrEmpty(`/proc/${token.processId}/cmdline`)).toContain('token-process');
    });
    expect(JSON.stringify(events)).not.toContain(PIN);
  });

  test('the key process gets nothing of the gateway’s environment but what it needs', async () => {
    process.env.SEALGATE_TEST_SECRET = 'a password in a variable';
    try {
      await withToken({}, async (token) => {
        const environment = readOrEmpty(`/proc/${token.processId}/environ`);
        expect(environment).toContain('SOFTHSM2_CONF=');
        expect(environment).not.toContain('SEALGATE_TEST_SECRET');
      });
    } finally {
      delete process.env.SEALGATE_TEST_SECRET;
    }
  });
});

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    // Processes of others come and go.
    expect(error).toHaveProperty('code');
    return '';
  }
}

describe('ending', () => {
  test('close() leaves no process behind, and refuses what comes later', async () => {
    const token = await openToken(options());
    const pid = present(token.processId);
    const pending = signHello(token).catch((error: unknown) => error);
    await token.close();
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    await pending;
    const error = await refusal(signHello(token));
    expect([error.code, error.duration]).toEqual(['key.unavailable', 'temporary']);
    await token.close();
  });

  test('the key process ends by itself when the gateway is killed', async () => {
    const script = authority.path('gateway-that-is-killed.mjs');
    const module = new URL('../../src/hsm/token.ts', import.meta.url).href;
    const secret = new URL('../../src/log/secret.ts', import.meta.url).href;
    writeFileSync(
      script,
      `import { openToken } from ${JSON.stringify(module)};
       import { Secret } from ${JSON.stringify(secret)};
       const { pin, ...rest } = JSON.parse(await new Promise((resolve) => process.stdin.once('data', resolve)));
       const token = await openToken({ ...rest, pin: new Secret(pin), log: { write() {} } });
       process.stdout.write(String(token.processId), () => process.kill(process.pid, 'SIGKILL'));`,
    );
    const running = promisify(execFile)(process.execPath, [script]);
    const { module: path, token, environment } = options();
    running.child.stdin?.end(JSON.stringify({ module: path, token, environment, pin: PIN }));
    const { stdout } = (await running.catch((error: unknown) => error)) as { stdout: string };
    expect(stdout).toMatch(/^[0-9]+$/);
    while (isRunning(Number(stdout))) await new Promise((resolve) => setImmediate(resolve));
    expect(isRunning(Number(stdout))).toBe(false);
  });
});

function isRunning(pid: number): boolean {
  const status = readOrEmpty(`/proc/${pid}/stat`);
  return status !== '' && !/\) Z /.test(status);
}
