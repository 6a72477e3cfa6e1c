import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import {
  createThrowawayPki,
  type ThrowawayPki,
  type UserIdentity,
} from '../../src/evaluation/throwaway-pki.ts';
import { readCertificates } from '../../src/pki/certificate-file.ts';
import type { RevocationQuestion } from '../../src/pki/revocation-checker.ts';
import type { RevocationReport } from '../../src/pki/revocation-report.ts';
import { openMessage } from '../../src/smime/open.ts';

let folder: string;
let pki: ThrowawayPki;
let stranger: ThrowawayPki;
let signers: UserIdentity[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-port-'));
  [pki, stranger] = await Promise.all([
    createThrowawayPki(join(folder, 'a')),
    createThrowawayPki(join(folder, 'b')),
  ]);
  const request = (name: string) => ({ address: `${name}@sealgate.test`, keyType: 'p-256' as const });
  signers = await Promise.all([pki.issueUser(request('one')), pki.issueUser(request('two'))]);
});

afterAll(() => rm(folder, { recursive: true }));

async function signed(by: readonly UserIdentity[]): Promise<Buffer> {
  const args = by.flatMap(({ certificateFile, keyFile }) => ['-signer', certificateFile, '-inkey', keyFile]);
  const input = 'Content-Type: text/plain\r\n\r\nhello\r\n';
  const { stdout } = await runProgram(
    'openssl',
    ['cms', '-sign', '-nodetach', '-binary', '-crlfeol', ...args],
    { input },
  );
  return Buffer.concat([Buffer.from('From: one@sealgate.test\r\n'), stdout]);
}

async function open(octets: Buffer, check: (question: RevocationQuestion) => Promise<RevocationReport>) {
  const anchors = readCertificates(await readFile(pki.ca.certificateFile));
  const { report } = await openMessage(octets, [], {
    at: new Date(),
    anchors,
    pool: [],
    revocation: { check },
  });
  return report.layers.flatMap((layer) => (layer.kind === 'signed' ? layer.signatures : []));
}

const answer = (verdict: RevocationReport['verdict']): RevocationReport => ({
  ...{ verdict, certificates: [], freshUntil: null, missing: [] },
});

describe('who finds evidence of revocation', () => {
  test('is asked for all signers at once: nobody waits for one after the other', async () => {
    const both = Promise.withResolvers<void>();
    let asked = 0;
    const signatures = await open(await signed(signers), async () => {
      if (++asked === 2) both.resolve();
      await both.promise;
      return answer('good');
    });
    expect(signatures.map(({ revocation }) => revocation)).toEqual(['good', 'good']);
  });

  test('is not asked about a stranger, nor about a signature that is broken', async () => {
    const unknown = await stranger.issueUser({ address: 'one@sealgate.test', keyType: 'p-256' });
    const changed = Buffer.from((await signed([...signers.slice(0, 1)])).toString('latin1'), 'latin1');
    const body = changed.indexOf('\n\n') < 0 ? changed.indexOf('\r\n\r\n') + 4 : changed.indexOf('\n\n') + 2;
    const cms = Buffer.from(changed.subarray(body).toString('latin1'), 'base64');
    cms.writeUInt8((cms.at(-1) ?? 0) ^ 1, cms.length - 1);
    const broken = Buffer.concat([
      changed.subarray(0, body),
      Buffer.from(cms.toString('base64').replace(/.{76}/g, '$&\r\n')),
    ]);
    for (const [octets, expected] of [
      [await signed([unknown]), { signature: 'good', revocation: 'unchecked' }],
      [broken, { signature: 'bad', revocation: 'unchecked' }],
    ] as const) {
      let asked = 0;
      const [signature] = await open(octets, async () => {
        asked++;
        return answer('good');
      });
      expect(signature).toMatchObject(expected);
      expect(asked).toBe(0);
    }
  });
});
