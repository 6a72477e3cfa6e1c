import { describe, expect, test } from 'vitest';
import type { SigningKey } from '../../src/cms/keys.ts';
import { newMailId, newSessionId } from '../../src/ids.ts';
import { silentLog } from '../../src/log/log.ts';
import { harvestSigners } from '../../src/pipeline/harvest.ts';
import { ownCertificate } from '../../src/pipeline/own-certificate.ts';
import type {
  CertificateDirectory,
  Keyring,
  KnownCertificate,
  RevocationUse,
  Standing,
} from '../../src/pipeline/ports.ts';
import { RecipientLookups } from '../../src/pipeline/recipient-certificates.ts';
import { findSigningKey } from '../../src/pipeline/signing-keys.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { judgedCertificates } from '../../src/policy/judged-certificates.ts';
import type { SignatureReport } from '../../src/smime/report.ts';
import {
  ecKey,
  generalName,
  keyUsage,
  makeCa,
  makeCertificate,
  now,
  subjectAltName,
} from '../pki/make-certificate.ts';
import { principalNamed } from '../support/principal.ts';

const address = 'bob@partner.example';
const ca = makeCa('CA');

function certificateOf(name: string, notBefore?: Date): Certificate {
  return makeCertificate({
    ...{ subject: name, issuer: 'CA', key: ecKey(name), issuerKey: ecKey('CA') },
    ...(notBefore === undefined ? {} : { notBefore }),
    extensions: [keyUsage(0, 4), subjectAltName(generalName.mailbox(address))],
  });
}

const first = certificateOf('First');
const second = certificateOf('Second');
const REVOKED: Standing = { kind: 'revoked', why: 'CN=First was revoked on 2026-05-01.' };
const LATER: Standing = { kind: 'unchecked', why: 'http://crl.example/ did not answer.', mayPass: true };
const NEVER: Standing = { kind: 'unchecked', why: 'It names no place.', mayPass: false };

function use(failure: RevocationUse['failure'], standings: Map<Certificate, Standing>): RevocationUse {
  return { failure, standing: { of: async (certificate) => standings.get(certificate) ?? { kind: 'good' } } };
}

async function assessed(
  failure: RevocationUse['failure'],
  known: readonly [Certificate, KnownCertificate['trust'], Standing][],
) {
  const directory: CertificateDirectory = {
    find: async () =>
      known.map(([certificate, trust]) => ({ certificate, trust, capabilities: [], source: 'mail' })),
    harvest: async () => undefined,
  };
  const standings = new Map(known.map(([certificate, , standing]) => [certificate, standing]));
  const lookups = new RecipientLookups(directory, silentLog, () => true, {
    revocation: use(failure, standings),
  });
  const origin = {
    session: newSessionId(),
    listener: 'x',
    principal: principalNamed('alice'),
    remote: '192.0.2.1',
  };
  const recipient = { mailbox: { localPart: 'bob', domain: 'partner.example' }, parameters: [] };
  const [found] = await lookups.settle(origin, [recipient as never], now);
  const judged = judgedCertificates(found ?? { kind: 'none' }, failure);
  if (judged.kind !== 'usable' || found?.kind !== 'usable') return judged;
  return judged.certificates.map(({ index }) => found.certificates[index]?.certificate);
}

describe('a recipient’s certificate', () => {
  test.each(['soft', 'hard'] as const)('that is revoked is never used (%s)', async (failure) => {
    expect(await assessed(failure, [[first, 'pinned', REVOKED]])).toEqual({
      kind: 'unusable',
      because: REVOKED.why,
    });
    expect(
      await assessed(failure, [
        [first, 'verified', REVOKED],
        [second, 'verified', { kind: 'good' }],
      ]),
    ).toEqual([second]);
  });

  test('that could not be checked is used under soft, and waited for under hard', async () => {
    expect(await assessed('soft', [[first, 'verified', LATER]])).toEqual([first]);
    expect(await assessed('hard', [[first, 'verified', LATER]])).toEqual({
      kind: 'unchecked',
      because: LATER.why,
    });
  });

  test('that can never be checked is not used under hard, and nobody is told to try again', async () => {
    expect(await assessed('soft', [[first, 'verified', NEVER]])).toEqual([first]);
    expect(await assessed('hard', [[first, 'verified', NEVER]])).toEqual({
      kind: 'unusable',
      because: NEVER.why,
    });
  });

  test('under hard: another one that was checked is used, unless the unchecked one is trusted more', async () => {
    const both = (trust: KnownCertificate['trust']) =>
      assessed('hard', [
        [first, 'verified', LATER],
        [second, trust, { kind: 'good' }],
      ]);
    expect(await both('verified')).toEqual([second]);
    expect(await both('harvested')).toMatchObject({ kind: 'unchecked' });
  });

  test('without a path to an anchor: what is asked of it is trust, and verified it is no more', async () => {
    const noPath: Standing = { kind: 'no-path' };
    expect(await assessed('hard', [[first, 'pinned', noPath]])).toEqual([first]);
    expect(await assessed('hard', [[first, 'harvested', noPath]])).toEqual([first]);
    expect(await assessed('soft', [[first, 'verified', noPath]])).toEqual([first]);
    expect(await assessed('hard', [[first, 'verified', noPath]])).toMatchObject({ kind: 'unusable' });
  });
});

describe('a correspondent’s certificate that comes in a mail', () => {
  const signature: SignatureReport = {
    ...{ signer: first, algorithm: 'ecdsa-sha256', signedAt: null, signature: 'good', checks: [] },
    path: { outcome: 'valid', anchor: ca, path: [first, ca] },
    ...{ revocation: 'unchecked', revocationDetail: null, speaksFor: 'from', capabilities: [] },
  };

  test.each([
    ['soft', 'good', 'verified'],
    ['soft', 'unchecked', 'verified'],
    ['hard', 'good', 'verified'],
    ['hard', 'unchecked', 'harvested'],
    ['soft', 'revoked', null],
    ['hard', 'revoked', null],
  ] as const)('under %s, %s, is kept as %s', async (failure, revocation, trust) => {
    const kept: string[] = [];
    const directory: CertificateDirectory = {
      find: async () => [],
      harvest: async (finding) => void kept.push(finding.trust),
    };
    const layer = { kind: 'signed', form: 'opaque', certificates: [] } as const;
    const report = { layers: [{ ...layer, signatures: [{ ...signature, revocation }] }] };
    await harvestSigners(address, report, { at: now, revocation: failure }, directory, silentLog);
    expect(kept).toEqual(trust === null ? [] : [trust]);
  });
});

describe('the sender’s own certificate', () => {
  const keys = [first, second].map((certificate) => ({ certificate, chain: [ca] }) as unknown as SigningKey);
  const keyring = { signingKeys: async () => keys, ownCertificates: () => keys } as unknown as Keyring;
  const principal = principalNamed('bob');
  const standing = (...standings: [Certificate, Standing][]) => use('hard', new Map(standings)).standing;

  test('that is revoked does not sign: the next one does, and without one the mail is refused with the reason', async () => {
    const next = await findSigningKey(keyring, principal, address, newMailId(), standing([first, REVOKED]));
    expect(next.key?.certificate).toBe(second);
    const none = await findSigningKey(
      keyring,
      principal,
      address,
      newMailId(),
      standing([first, REVOKED], [second, REVOKED]),
    );
    expect(none).toMatchObject({
      key: null,
      facts: {
        kind: 'unavailable',
        duration: 'permanent',
        publicText: expect.stringContaining('revoked on 2026-05-01'),
      },
    });
  });

  test('that could not be checked signs', async () => {
    const found = await findSigningKey(keyring, principal, address, newMailId(), standing([first, LATER]));
    expect(found.key?.certificate).toBe(first);
  });

  test('that is revoked is not encrypted to', async () => {
    const sender = { principal, from: address, at: now };
    const own = (...standings: [Certificate, Standing][]) =>
      ownCertificate({ ...sender, standing: standing(...standings) }, keyring, true, false);
    expect((await own([first, REVOKED]))?.certificate).toBe(second);
    expect(await own([first, REVOKED], [second, REVOKED])).toBeNull();
  });
});
