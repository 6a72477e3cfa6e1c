import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import {
  createThrowawayPki,
  type ThrowawayPki,
  type UserIdentity,
} from '../../src/evaluation/throwaway-pki.ts';
import { postgresql } from '../support/services/postgresql.ts';

const MAIN = resolve('src/main.ts');
const BOB = 'bob@partner.example';
const CAROL = 'carol@partner.example';

let folder: string;
let pki: ThrowawayPki;
let bob: UserIdentity;
let carol: UserIdentity;
let stranger: UserIdentity;
let expired: UserIdentity;
let config: string;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-cert-'));
  pki = await createThrowawayPki(join(folder, 'pki'));
  const other = await createThrowawayPki(join(folder, 'other'));
  bob = await pki.issueUser({ address: BOB, keyType: 'p-256' });
  carol = await pki.issueUser({ address: CAROL, keyType: 'p-256' });
  expired = await pki.issueUser({ address: 'old@partner.example', keyType: 'p-256', days: -1 });
  stranger = await other.issueUser({ address: BOB, keyType: 'p-256' });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(async () => {
  config = await configured({});
});

async function configured(more: object): Promise<string> {
  const file = join(folder, `gateway-${++count}.yaml`);
  const text = stringify({
    hostname: 'gw.sealgate.test',
    stateFolder: join(folder, `state-${count}`),
    submission: [
      {
        ...{ name: 'submission', host: '127.0.0.1', port: 0, tls: 'none' },
        upstream: { host: '127.0.0.1', port: 1, tls: 'none' },
      },
    ],
    trust: { anchors: [pki.ca.certificateFile], revocation: { fetch: false } },
    policy: { rules: [{ name: 'all', sign: 'never', encrypt: 'require' }] },
    ...more,
  });
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

async function cert(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, 'cert', ...args, '--config', config], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = { code: null as number | null, out: '', error: '' };
  child.stdout.on('data', (text: Buffer) => (ended.out += text.toString()));
  child.stderr.on('data', (text: Buffer) => (ended.error += text.toString()));
  [ended.code] = (await once(child, 'close')) as [number | null];
  return ended;
}

const json = async (...args: string[]) => JSON.parse((await cert(...args, '--json')).out);
const print = ({ certificateFile }: UserIdentity) =>
  execFileSync('openssl', ['x509', '-in', certificateFile, '-noout', '-fingerprint', '-sha256'], {
    encoding: 'utf8',
  })
    .replace(/.*=/, '')
    .trim();
const take = (...files: string[]) => cert('import', '--trust', 'directory', ...files);

describe('sealgate cert import and export', () => {
  it('names what it did not take, and counts', async () => {
    const { code, out } = await take(bob.certificateFile, pki.ca.certificateFile, expired.certificateFile);
    expect(code).toBe(0);
    expect(out).toMatch(
      /not taken: .*, (?:the file|line 1) [0-9a-f]{64}: It is that of a certificate authority/,
    );
    expect(out).toMatch(/This certificate expired at/);
    expect(out).toMatch(/1 taken, 0 known already, 2 not taken\.\n$/);
    const again = await json('import', '--trust', 'directory', bob.certificateFile, expired.certificateFile);
    expect(again).toMatchObject({
      refused: [{ file: expired.certificateFile, why: expect.stringContaining('expired') }],
      counts: { taken: 0, known: 1, notTaken: 1 },
    });
  });

  it('fails where nothing was taken, and where a file is nothing that is known', async () => {
    expect(await take(pki.ca.certificateFile)).toMatchObject({ code: 1 });
    const odd = join(folder, 'odd');
    await writeFile(odd, 'hello');
    const { code, error } = await take(odd);
    expect(code).toBe(1);
    expect(error).toContain('neither PEM, DER, PKCS #7, LDIF nor vCard');
    expect((await take(join(folder, 'nowhere'))).error).toContain('cannot be read');
  });

  it('trusts nothing more than was said', async () => {
    const { code, error } = await cert('import', bob.certificateFile);
    expect(code).toBe(1);
    expect(error).toContain('--trust');
    expect((await cert('import', '--trust', 'pinned', bob.certificateFile)).error).toContain('--reason');
    await take(bob.certificateFile);
    expect(await json('list')).toMatchObject([{ address: BOB, trust: 'directory', source: 'import' }]);
    await cert('import', '--trust', 'pinned', '--reason', 'partner', stranger.certificateFile);
    expect((await json('why', BOB)).certificates).toMatchObject([
      { encryption: { used: true }, known: [{ trust: 'pinned' }] },
      { encryption: { used: false } },
    ]);
  });

  it.each(['pem', 'p7b', 'ldif', 'vcard'])('carries a directory as %s to another gateway', async (format) => {
    await take(bob.certificateFile, carol.certificateFile);
    const file = join(folder, `export-${format}`);
    expect(await cert('export', '--format', format, '-o', file, '--force')).toMatchObject({
      code: 0,
      error: '',
    });
    config = await configured({});
    expect((await take(file)).out).toMatch(/^2 taken, 0 known already, 0 not taken/);
    expect((await json('list')).map(({ address }: { address: string }) => address)).toEqual([BOB, CAROL]);
    expect((await cert('export', '-o', file)).error).toContain('exists already');
    expect((await readFile(file)).length).toBeGreaterThan(500);
    if (format !== 'p7b') return;
    const der = join(folder, 'export.der');
    expect((await cert('export', '--format', 'der', '-o', der)).error).toContain('one certificate');
    await cert('export', '--format', 'der', '--fingerprint', print(bob), '-o', der);
    expect(
      execFileSync('openssl', ['x509', '-inform', 'DER', '-in', der, '-noout', '-fingerprint', '-sha256'], {
        encoding: 'utf8',
      }),
    ).toContain(print(bob));
  });
});

describe('what people decide', () => {
  it('is listed, explained, and undone', async () => {
    await cert('import', '--trust', 'pinned', '--reason', 'partner', bob.certificateFile);
    await take(stranger.certificateFile);
    const pending = await json('pending');
    expect(pending).toMatchObject([{ address: BOB, state: 'pending' }]);
    const reason = ['--reason', 'called Bob', '--by', 'dora'];
    const accepted = await json('accept', BOB, print(stranger), ...reason);
    expect(accepted).toMatchObject({ decision: 2, action: 'accept', by: 'dora', reason: 'called Bob' });
    expect((await cert('pending')).out).toBe('Nothing waits for a review.\n');
    const { out } = await cert('distrust', print(stranger), ...reason);
    expect(out).toMatch(/^Decision 3: .* distrusted from now on\. It is known for bob@partner\.example\./);
    const why = await cert('why', BOB);
    expect(why.out).toMatch(/encrypted to {2}NO {3}A person distrusts it/);
    expect(why.out).toMatch(/decision +distrusted by dora on \d{4}-\d\d-\d\d: called Bob/);
    expect(why.out).toMatch(/next +If that was a mistake: sealgate cert undo 3/);
    expect((await cert('undo', '2', ...reason)).code).toBe(0);
    expect((await cert('undo', '3', ...reason)).code).toBe(0);
    expect((await cert('undo', '2', ...reason)).error).toContain('undone already');
    const shown = await json('show', print(stranger));
    expect(shown.entries).toMatchObject([{ state: 'pending', decision: null }]);
    expect(shown.journal).toHaveLength(4);
    expect((await cert('show', print(stranger))).out).toMatch(
      /4: undo of 2 by dora .*\n.*5: undo of 3 by dora/,
    );
  });

  it('needs a reason, a certificate that is known, and a fingerprint', async () => {
    await take(bob.certificateFile);
    expect((await cert('trust', print(bob))).error).toContain('--reason');
    expect((await cert('trust', print(bob), '--reason', ' ')).error).toContain('Say why');
    expect((await cert('trust', 'abc', '--reason', 'x')).error).toContain('64 hexadecimal digits');
    expect((await cert('pin', BOB, print(carol), '--reason', 'x')).error).toContain('No such certificate');
    expect((await cert('show', print(carol))).error).toContain('no certificate with this fingerprint');
    expect((await cert('undo', '9', '--reason', 'x')).error).toContain('There is no decision 9');
  });
});

describe('sealgate cert why', () => {
  it('says path, anchor, purpose, revocation and history of one that is used', async () => {
    await take(bob.certificateFile);
    const { out } = await cert('why', BOB);
    expect(out).toMatch(/^bob@partner\.example: 1 known, 1 used\./);
    expect(out).toMatch(
      /encrypted to {2}yes {2}It counts as directory\. Only rules with minTrust: directory/,
    );
    expect(out).toMatch(/next +It leads to an anchor, .*sealgate cert trust [0-9a-f]{64} --reason/);
    expect(out).toMatch(/signatures {4}yes {2}It leads to a trust anchor\./);
    expect(out).toMatch(/path +its own +.*\n.*path +anchor +/);
    expect(out).toMatch(/purpose +encryption: yes; signatures: yes/);
    const [one] = (await json('why', print(bob))).certificates;
    expect(one).toMatchObject({
      path: { outcome: 'valid', certificates: [{}, {}] },
      revocation: { kind: 'unchecked' },
      known: [{ address: BOB, trust: 'directory' }],
      journal: [],
    });
  });

  it('says what to do for one that leads nowhere, and for one that nobody knows', async () => {
    await take(stranger.certificateFile);
    const { out } = await cert('why', BOB);
    expect(out).toMatch(/signatures {4}NO/);
    expect(out).toMatch(/path +NO \(signature\)/);
    expect(out).toMatch(/next +If you believe its authority, add the authority to trust\.anchors/);
    expect(out).toMatch(/next +If you have compared the fingerprint: sealgate cert trust [0-9a-f]{64}/);
    await cert('trust', print(stranger), '--reason', 'compared');
    expect((await cert('why', BOB)).out).toMatch(/signatures {4}yes {2}A person trusts it/);
    expect((await cert('why', 'nobody@partner.example')).out).toMatch(/Nothing is known of nobody@/);
  });

  it('knows pinned files', async () => {
    await take(bob.certificateFile);
    const state = config;
    config = await configured({ directory: { pinned: [stranger.certificateFile] } });
    await take(bob.certificateFile);
    const { certificates } = await json('why', BOB);
    expect(certificates).toMatchObject([
      { pinnedFile: true, encryption: { used: true, because: 'It counts as pinned.' } },
      { pinnedFile: false, encryption: { used: false } },
    ]);
    config = state;
  });
});

describe('sealgate cert search', () => {
  it('finds, page by page', async () => {
    await take(bob.certificateFile, carol.certificateFile);
    const first = await json('search', 'partner', '--limit', '1');
    expect(first).toMatchObject({ entries: [{ address: BOB }], next: 1 });
    expect((await cert('search', 'partner', '--limit', '1')).out).toContain('--after 1');
    expect(await json('search', '--domain', 'PARTNER.example', '--after', '1')).toMatchObject({
      entries: [{ address: CAROL }],
      next: null,
    });
    expect((await cert('search', "x' OR 1=1 --")).out).toBe('Nothing is found.\n');
    expect((await cert('search', '--expires-before', 'soon')).error).toContain('a day is expected');
  });
});

it('the directory may be in PostgreSQL, the password in a file', async () => {
  await using server = await postgresql({ access: ['host all gate 127.0.0.1/32 scram-sha-256'] });
  await server.run("CREATE ROLE gate LOGIN PASSWORD 'from the file'");
  const database = await server.database();
  await server.run(`ALTER DATABASE ${database} OWNER TO gate`);
  const password = join(folder, 'password');
  await writeFile(password, 'from the file', { mode: 0o600 });
  const place = {
    kind: 'postgresql',
    host: '127.0.0.1',
    port: server.port,
    database,
    user: 'gate',
    tls: 'none',
  };
  config = await configured({ directory: { store: { ...place, password: { file: password } } } });
  expect(await take(bob.certificateFile)).toMatchObject({ code: 0, error: '' });
  // Another gateway of the same directory.
  config = await configured({ directory: { store: { ...place, password: { file: password } } } });
  expect(await json('list')).toMatchObject([{ address: BOB }]);
  await writeFile(password, 'another one', { mode: 0o600 });
  const refused = await cert('list');
  expect(refused).toMatchObject({ code: 1, out: '' });
  expect(refused.error).toMatch(/The database .* cannot be opened: the server refuses the password/);
  expect(refused.error).not.toContain('another one');
});

it('an authority that may not speak for an address is named', async () => {
  const trust = {
    restrictedAnchors: [{ file: pki.ca.certificateFile, domains: ['other.example'] }],
    revocation: { fetch: false },
  };
  config = await configured({ trust });
  await take(bob.certificateFile);
  const { out } = await cert('why', BOB);
  expect(out).toMatch(
    /signatures {4}NO {3}It leads to .*, which is not believed for signatures of this address/,
  );
  expect(out).toMatch(
    /next +If its authority may speak for this address, say so in trust\.restrictedAnchors/,
  );
});
