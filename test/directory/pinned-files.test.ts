import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadPinnedFiles } from '../../src/directory/pinned-files.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { makeCa } from '../pki/make-certificate.ts';
import { BOB, correspondent } from './correspondent.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-pinned-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function pem(...certificates: Certificate[]): string {
  return certificates
    .map(({ der }) => {
      const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
      return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
    })
    .join('');
}

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('pinned certificates', () => {
  test('come from PEM and DER, from files and folders, and of one address the newest first', async () => {
    const older = correspondent({ notBefore: new Date('2024-01-01') });
    const newer = correspondent({ notBefore: new Date('2026-01-01') });
    const carol = correspondent({ mailboxes: ['carol@Partner.EXAMPLE', 'c@partner.example'] });
    mkdirSync(join(folder, 'people'));
    file('people/bob.pem', pem(older));
    file('people/bob-new.der', newer.der);
    file('people/README', 'not a certificate');
    file('people/.hidden.pem', 'not a certificate');
    const pinned = await loadPinnedFiles([join(folder, 'people'), file('carol.txt', pem(carol))]);
    const found = (address: string) => pinned.find(address).map(({ fingerprint }) => fingerprint);
    expect(found(BOB)).toEqual([newer.fingerprint, older.fingerprint]);
    expect(found('carol@partner.example')).toEqual([carol.fingerprint]);
    expect(found('c@partner.example')).toEqual([carol.fingerprint]);
    expect(found('nobody@partner.example')).toEqual([]);
  });

  test('of one file that is named twice are there once', async () => {
    const path = file('bob.pem', pem(correspondent()));
    expect((await loadPinnedFiles([path, folder])).find(BOB)).toHaveLength(1);
  });

  test('may lie beside their authority', async () => {
    const ca = makeCa('Partner CA');
    const pinned = await loadPinnedFiles([file('bundle.pem', pem(correspondent(), ca))]);
    expect(pinned.addresses).toEqual([BOB]);
  });

  test.each([
    ['a file that is not there', 'none.pem', null, /cannot be read/],
    ['a file without certificate', 'note.pem', 'hello', /certificate/],
    ['a damaged file', 'bad.der', correspondent().der.subarray(0, 200), /./],
    ['an authority alone', 'ca.pem', pem(makeCa('Partner CA')), /mail address/],
    ['a certificate that names no address', 'bob.pem', pem(correspondent({ mailboxes: [] })), /mail address/],
  ])(
    '%s is refused, not passed over: an absent pin would be an unencrypted mail',
    async (_, name, content, why) => {
      const path = content === null ? join(folder, name) : file(name, content);
      await expect(loadPinnedFiles([path])).rejects.toMatchObject({
        code: 'directory.pinned-unusable',
        publicText: expect.stringMatching(why),
      });
      await expect(loadPinnedFiles([path])).rejects.toMatchObject({
        publicText: expect.stringContaining(path),
      });
    },
  );
});
