import { X509Certificate } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { createThrowawayPki, type ThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { smimeaName } from '../../src/pki/smimea-name.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { FakeLog } from '../pipeline/support/ports.ts';
import { filters as f, message, search } from './ldap/requests.ts';
import { RawClient } from './ldap/served.ts';

/** The whole gateway and the command, with key files that come and go. */

const ALICE = 'alice@sealgate.test';
const BOB = 'bob@sealgate.test';
const BASE = 'dc=sealgate,dc=test';

let folder: string;
let pki: ThrowawayPki;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-publishing-'));
  pki = await createThrowawayPki(join(folder, 'pki'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function install(address: string, name: string): Promise<X509Certificate> {
  const { keyFile, certificateFile, certificate } = await pki.issueUser({ address, keyType: 'p-256' });
  await copyFile(keyFile, join(folder, `${name}.key`));
  await copyFile(certificateFile, join(folder, `${name}.crt`));
  return new X509Certificate(certificate);
}

async function configured(publishing: object): Promise<string> {
  const key = (name: string) => ({
    ...{ name, kind: 'pem', key: join(folder, `${name}.key`), certificate: join(folder, `${name}.crt`) },
  });
  const file = join(folder, 'gateway.yaml');
  const text = stringify({
    hostname: 'gw.sealgate.test',
    stateFolder: join(folder, 'state'),
    submission: [
      {
        ...{ name: 'submission', host: '127.0.0.1', port: 0, tls: 'none' },
        upstream: { host: '127.0.0.1', port: 9, tls: 'none' },
      },
    ],
    keys: [key('alice'), key('bob'), key('nobody')],
    principals: {
      list: [
        { login: 'alice', addresses: [ALICE, 'info@sealgate.test'], keys: ['alice'] },
        { login: 'bob', addresses: [BOB], keys: ['bob'] },
      ],
    },
    trust: { anchors: [pki.ca.certificateFile] },
    policy: { rules: [{ name: 'all', sign: 'require', encrypt: 'if-possible' }] },
    publishing,
  });
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

const ldap = [{ name: 'ldap', host: '127.0.0.1', port: 0, tls: 'none', base: BASE }];

async function foundBy(gateway: Gateway, address: string): Promise<string> {
  const client = new RawClient(gateway.port('ldap'));
  try {
    return (
      (await client.send(message(1, search({ base: BASE, filter: f.equal('mail', address) }))).next()) ?? ''
    );
  } finally {
    client.close();
  }
}

describe('own users', () => {
  test('are found by LDAP, with the keys that there are now', async () => {
    const [alice, nobody] = [await install(ALICE, 'alice'), await install('x@sealgate.test', 'nobody')];
    await install(BOB, 'bob');
    const loaded = await loadConfig(await configured({ ldap, withheld: [BOB] }));
    if (loaded.kind !== 'ok') throw new Error(JSON.stringify(loaded.problems));
    const gateway = await startGateway(loaded.config, new FakeLog());
    try {
      expect(await foundBy(gateway, ALICE)).toContain(alice.raw.toString('hex'));
      // One is withheld, one is not named by her certificate, one key is no login's.
      for (const address of [BOB, 'info@sealgate.test', nobody.subjectAltName?.replace('email:', '') ?? '']) {
        expect(await foundBy(gateway, address)).toMatch(/^30..020101650/);
      }
      const renewed = await install(ALICE, 'alice');
      await gateway.reloadKeys();
      const after = await foundBy(gateway, ALICE);
      expect([
        after.includes(renewed.raw.toString('hex')),
        after.includes(alice.raw.toString('hex')),
      ]).toEqual([true, false]);
    } finally {
      await gateway.close();
    }
  });

  test('are listed, and written for a name server', async () => {
    const alice = await install(ALICE, 'alice');
    const config = await configured({ withheld: [BOB] });
    const cache = join(folder, 'cache');
    const listed = await runSealgate(['publish', 'list', '--json', '-c', config], { cache });
    expect([listed.code, listed.error]).toEqual([0, '']);
    expect(JSON.parse(listed.out)).toMatchObject({
      published: [{ address: ALICE, certificates: [{ uses: ['encrypt', 'sign'] }] }],
      withheld: [
        { address: 'info@sealgate.test', why: 'it does not name the address' },
        { address: BOB, why: 'publishing.withheld names the address' },
      ],
      problems: [],
    });
    const out = join(folder, 'zone');
    const args = ['publish', 'smimea', '--domain', 'SEALGATE.test', '--out', out, '-c', config];
    expect(await runSealgate(args, { cache })).toEqual({ code: 0, out: '', error: '' });
    const zone = await readFile(out, 'utf8');
    expect(zone.replaceAll(/\s/g, '')).toContain(alice.raw.toString('hex'));
    expect(zone).toContain(`${smimeaName(ALICE)}. 3600 IN SMIMEA 3 0 0 (`);
    expect(zone.match(/SMIMEA/g)).toHaveLength(1);
  });

  test('a zone in which somebody would be missing is not written', async () => {
    await install(ALICE, 'alice');
    const config = await configured({});
    await rm(join(folder, 'bob.crt'));
    const out = join(folder, 'incomplete');
    const ended = await runSealgate(['publish', 'smimea', '--out', out, '-c', config], {
      cache: join(folder, 'cache'),
    });
    expect(ended.code).toBe(1);
    expect(ended.out).toBe('');
    await expect(rm(out)).rejects.toThrow();
  });
});
