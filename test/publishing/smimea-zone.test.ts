import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressKey } from '../../src/directory/address-key.ts';
import { SmimeaSource } from '../../src/directory/smimea/smimea-source.ts';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import { smimeaName } from '../../src/pki/smimea-name.ts';
import { withoutName, zoneText } from '../../src/publishing/smimea-zone.ts';
import { now } from '../pki/make-certificate.ts';
import { firstFile } from '../support/require-command.ts';
import type { Started } from '../support/services/disposable.ts';
import { type NameServers, nameServers } from '../support/services/name-servers.ts';
import { certificateFor } from './people.ts';

const ALICE = 'alice@example.org';
const hostile = 'Eve\nevil IN A 192.0.2.1 ; \u202e(';
const alice = certificateFor({ address: ALICE, cn: hostile });
const signing = certificateFor({ address: ALICE, use: 'sign', serial: 2 });
const PEOPLE = [
  { address: ALICE, certificates: [signing, alice] },
  { address: '"odd one"@sub.example.org', certificates: [alice] },
];
const options = { ttl: 3_600, generic: false };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-zone-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The records as BIND reads them, in its own form. */
async function checked(text: string): Promise<string> {
  const program = firstFile(
    ['/usr/bin/named-checkzone', '/usr/sbin/named-checkzone'],
    'named-checkzone',
    'bind9-utils',
  );
  const file = join(folder, 'zone');
  const head = '$TTL 300\n@ IN SOA ns hostmaster 1 3600 600 86400 300\n@ IN NS ns\nns IN A 127.0.0.1\n';
  await writeFile(file, head + text);
  const { stdout, stderr, failure } = await runToEnd(program, ['-D', '-o', '-', 'example.org', file]);
  expect([failure, stderr.includes('loaded serial 1')]).toEqual([null, true]);
  return stdout.toString();
}

describe('SMIMEA records', () => {
  test('are what a name server reads, with every octet of the certificates', async () => {
    const zone = await checked(zoneText(PEOPLE, options));
    const records = zone.split('\n').filter((line) => line.includes('SMIMEA'));
    const expected = PEOPLE.flatMap(({ address, certificates }) =>
      certificates.map(({ der }) => `${smimeaName(address)} 3 0 0 ${der.toString('hex').toUpperCase()}`),
    );
    const found = records.map((line) =>
      line.replace(
        /^(\S+)\.\s+3600\s+IN\s+SMIMEA\s+(\d) (\d) (\d) (.*)$/,
        (_, name, a, b, c, data: string) => {
          return `${name} ${a} ${b} ${c} ${data.replaceAll(' ', '')}`;
        },
      ),
    );
    expect(found.toSorted()).toEqual(expected.toSorted());
  });

  test('are the same for name servers that do not know the type', async () => {
    const known = await checked(zoneText(PEOPLE, options));
    expect(await checked(zoneText(PEOPLE, { ...options, generic: true }))).toBe(known);
  });

  test('are nothing but records, whatever stands in a certificate', async () => {
    const text = zoneText(PEOPLE, options);
    expect(text).not.toMatch(/^[^;]*evil/m);
    expect(text).not.toMatch(/[\p{Cf}]/u);
    expect(await checked(text)).not.toContain('evil');
  });

  test('are not there for who has no name in DNS', () => {
    const address = `a@${'x'.repeat(60)}.${'y'.repeat(60)}.${'z'.repeat(60)}.example.org`;
    const long = [{ address, certificates: [alice] }];
    expect([zoneText(long, options), withoutName(long)]).toEqual(['', [address]]);
  });
});

describe('a name server of others', () => {
  let servers: Started<NameServers>;
  beforeAll(async () => {
    const records = zoneText(PEOPLE.slice(0, 1), options).split('\n');
    servers = await nameServers([{ name: 'example.org', records, dnssec: 'signed' }]);
  });
  afterAll(() => servers?.stop());

  test('gives them to those who ask, vouched for by DNSSEC', async () => {
    const program = firstFile(['/usr/bin/kdig'], 'kdig', 'knot-dnsutils');
    const { stdout, failure } = await runToEnd(program, [
      ...[`@127.0.0.1`, '-p', String(servers.port), '+tcp', '+dnssec', '+noall', '+header', '+answer'],
      ...[`${smimeaName(ALICE)}.`, 'SMIMEA'],
    ]);
    const answer = stdout.toString();
    expect(failure).toBeNull();
    expect(answer).toMatch(/;; Flags: qr .*\bad\b/);
    for (const { der } of [alice, signing]) {
      expect(answer.replaceAll(' ', '').toLowerCase()).toContain(`300${der.toString('hex')}`);
    }
  });

  test('gives another gateway what it can encrypt to', async () => {
    const place = { host: '127.0.0.1', port: servers.port, name: 'unbound' };
    const source = new SmimeaSource(
      {
        ...{ name: 'dns', resolvers: [place], withoutDnssec: 'ignore', domains: null },
        ...{ optional: false, timeoutMs: 5_000 },
      },
      { clock: () => now, postQuantum: false, intermediates: [] },
    );
    const key = addressKey(ALICE);
    if (key === null) throw new Error('it is an address');
    const { certificates, remark } = await source.ask(key, new AbortController().signal);
    expect([certificates.map(({ fingerprint }) => fingerprint), remark]).toEqual([
      [alice.fingerprint],
      undefined,
    ]);
  });
});
