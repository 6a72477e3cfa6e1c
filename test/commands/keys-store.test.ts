import { spawnSync } from 'node:child_process';
import { access, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createThrowawayPki, type ThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { runSealgate } from './support/run-sealgate.ts';

const ALICE = 'alice@sealgate.test';
const BOB = 'bob@sealgate.test';

let folder: string;
let pki: ThrowawayPki;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-keys-command-'));
  pki = await createThrowawayPki(join(folder, 'pki'));
  const made = await keys(['create-store', store()], { SEALGATE_NEW_PASSWORD: 'of the store' });
  expect(made.code).toBe(0);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const file = (name: string) => join(folder, name);
const store = () => file('store');
const anchor = () => ['--anchor', pki.ca.certificateFile];

const keys = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runSealgate(['keys', ...args], {
    env: { SEALGATE_PASSWORD: 'of the store', ...env },
    cache: join(folder, 'compiled'),
  });

function openssl(args: readonly string[], input = ''): { status: number | null; out: string } {
  const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: folder, input });
  return { status, out: stdout.toString() + stderr.toString() };
}

/** A certificate for the public key of a request, as an authority would send it. */
async function certify(requestFile: string, address: string): Promise<string> {
  const { out } = openssl(['req', '-in', requestFile, '-noout', '-pubkey']);
  const certificate = await pki.issueForPublicKey(out, { address });
  const certificateFile = `${requestFile}.crt`;
  await writeFile(certificateFile, certificate);
  return certificateFile;
}

describe('the life of a key in a key store (E3, E6, E8)', () => {
  it('is generated, certified by its request, listed, tried, exported with its chain, and removed', async () => {
    const generate = ['generate', '--store', store(), '--type', 'rsa-2048', '--exportable'];
    const generated = await keys([...generate, '--address', ALICE, '--out', file('alice.csr')]);
    expect(generated).toMatchObject({ code: 0, out: '' });
    expect((await stat(file('alice.csr'))).mode & 0o777).toBe(0o600);
    const request = openssl(['req', '-in', 'alice.csr', '-noout', '-verify', '-text']);
    expect(request.out).toContain('self-signature verify OK');
    expect(request.out).toContain(`email:${ALICE}`);

    const waiting = await keys(['list', '--store', store()]);
    expect(waiting).toMatchObject({ code: 0, error: '' });
    expect(waiting.out).toContain('waits for its certificate');

    const certificate = await certify(file('alice.csr'), ALICE);
    const imported = await keys(['import', certificate, '--store', store(), ...anchor(), '--address', ALICE]);
    expect(imported).toMatchObject({ code: 0, error: '' });
    expect(imported.out).toMatch(/path +good +Issued under CN=Sealgate throwaway CA/);
    expect(imported.out).not.toContain('PROBLEM');

    const [listed, tried] = await Promise.all([
      keys(['list', '--store', store(), '--json']),
      keys(['test', ALICE, '--store', store(), '--seconds', '0', '--json']),
    ]);
    expect(listed.code).toBe(0);
    expect(JSON.parse(listed.out)).toMatchObject([
      { keys: [{ name: ALICE, kind: 'rsa 2048', exportable: 'yes', certificate: { addresses: [ALICE] } }] },
    ]);
    expect(tried.code).toBe(0);
    type Tried = { keys: { trials: { way: string; outcome: string }[] }[] }[];
    const trials = (JSON.parse(tried.out) as Tried).flatMap((one) => one.keys.flatMap((key) => key.trials));
    expect(trials.every(({ outcome }) => outcome === 'good')).toBe(true);
    expect(trials.map(({ way }) => way)).toEqual(
      expect.arrayContaining([
        'sign rsa-pkcs1 sha256',
        'sign rsa-pss sha256',
        'open rsa-pkcs1',
        'open rsa-oaep sha256',
      ]),
    );

    const carried = ['export', ALICE, '--store', store(), ...anchor()];
    const password = { SEALGATE_NEW_PASSWORD: 'to carry it' };
    const [strong, old, pem, p7b] = await Promise.all([
      keys([...carried, '--out', file('alice.p12')], password),
      keys([...carried, '--out', file('old.p12'), '--old-programs'], password),
      keys([...carried, '--out', file('alice.pem'), '--format', 'pem'], password),
      keys([...carried, '--out', file('alice.p7b'), '--format', 'p7b'], password),
    ]);
    for (const { code, out } of [strong, old, pem, p7b]) expect([code, out]).toEqual([0, '']);
    const read = (name: string, ...more: string[]) =>
      openssl(['pkcs12', '-in', name, '-passin', 'pass:to carry it', '-nodes', '-info', ...more]).out;
    expect(read('alice.p12')).toMatch(/PBES2, PBKDF2, AES-256-CBC/);
    expect(read('alice.p12').match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(read('alice.p12')).toContain('BEGIN PRIVATE KEY');
    expect(read('old.p12', '-legacy')).toMatch(/pbeWithSHA1And3-KeyTripleDES-CBC/);
    expect((await stat(file('alice.p12'))).mode & 0o777).toBe(0o600);
    const pair = openssl(['pkey', '-in', 'alice.pem', '-passin', 'pass:to carry it', '-pubout']).out;
    expect(pair).toBe(openssl(['x509', '-in', 'alice.pem', '-noout', '-pubkey']).out);
    expect(await readFile(file('alice.pem'), 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    const bundle = openssl(['pkcs7', '-inform', 'DER', '-in', 'alice.p7b', '-print_certs']).out;
    expect(bundle.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);

    const removing = [...carried, '--remove-key-afterwards', '--out', file('last.p12')];
    const asked = await keys(removing, password);
    expect(asked).toMatchObject({ code: 1, out: '' });
    expect(asked.error).toContain('--yes');
    await expect(access(file('last.p12'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await keys([...removing, '--yes'], password)).code).toBe(0);
    expect(read('last.p12')).toContain('BEGIN PRIVATE KEY');
    expect((await keys(['list', '--store', store()])).out).not.toContain(ALICE);
  });

  it('imports what others made, says what is wrong with it, and gives nothing out that was not meant to leave', async () => {
    const bob = await pki.issueUser({ address: BOB, keyType: 'p-256', password: 'of the file' });
    const given = { SEALGATE_FILE_PASSWORD: 'of the file' };
    const strict = [
      'import',
      bob.pkcs12File,
      '--store',
      store(),
      ...anchor(),
      '--address',
      ALICE,
      '--strict',
    ];
    const [wrongPassword, wrongAddress] = await Promise.all([
      keys(['import', bob.pkcs12File, '--store', store()], { SEALGATE_FILE_PASSWORD: 'another one' }),
      keys(strict, given),
    ]);
    expect(wrongPassword.error).toContain('The password is not the right one');
    expect(wrongAddress.error).toContain(`is for ${BOB} and not for ${ALICE}`);
    for (const { code, out } of [wrongPassword, wrongAddress]) expect([code, out]).toEqual([1, '']);
    const imported = await keys(['import', bob.pkcs12File, '--store', store(), '--address', ALICE], given);
    expect(imported.code).toBe(0);
    expect(imported.out).toMatch(/addresses +PROBLEM/);
    expect(imported.out).toMatch(/path +(?:good|open|PROBLEM)/);

    const password = { SEALGATE_NEW_PASSWORD: 'to carry it' };
    const [refused, certificate] = await Promise.all([
      keys(['export', BOB, '--store', store(), '--out', file('bob.p12')], password),
      keys(['export', BOB, '--store', store(), '--format', 'der', '--out', '-']),
    ]);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.error).toContain('not exportable');
    await expect(access(file('bob.p12'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(certificate.code).toBe(0);
    const deleted = await keys(['delete', BOB, '--store', store(), '--yes']);
    expect(deleted).toMatchObject({ code: 0, error: '' });
  });
});

describe('what must never happen', () => {
  it('puts no file in the place of another, through a link or otherwise, and makes no key for it', async () => {
    await writeFile(file('precious'), 'precious');
    await symlink(file('precious'), file('link'));
    const into = (out: string) =>
      keys(['generate', '--store', store(), '--type', 'p-256', '--address', BOB, '--out', file(out)]);
    for (const { code, error } of await Promise.all([into('precious'), into('link')])) {
      expect(code).toBe(1);
      expect(error).toContain('--force');
    }
    expect(await readFile(file('precious'), 'utf8')).toBe('precious');
    expect((await keys(['list', '--store', store()])).out).not.toContain(BOB);
  });

  it('takes no password on the command line, no name that a terminal would obey, and no password that is guessed', async () => {
    const [password, name, address, short] = await Promise.all([
      keys(['export', BOB, '--store', store(), '--out', file('x'), '--new-password=hunter2hunter2']),
      keys(['generate', '--store', store(), '--address', BOB, '--name', 'bob\u001b[2J']),
      keys(['generate', '--store', store(), '--address', 'bob\u009b2J']),
      keys(['create-store', file('other')], { SEALGATE_NEW_PASSWORD: 'short' }),
    ]);
    expect(password.error).toContain('--new-password is refused');
    expect(password.error).not.toContain('hunter2');
    expect(name.error).toContain('is no name for a key');
    expect(address.error).toContain('is not a mail address');
    expect(short.error).toContain('fewer than');
    for (const { code, out, error } of [password, name, address, short]) {
      expect([code, out]).toEqual([1, '']);
      expect(error).not.toMatch(/[\u001b\u0080-\u009f]/);
    }
    await expect(access(file('other'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
