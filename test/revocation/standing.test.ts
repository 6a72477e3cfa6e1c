import { describe, expect, test } from 'vitest';
import { silentLog } from '../../src/log/log.ts';
import { CertificateSet } from '../../src/pki/certificate-set.ts';
import type { RevocationReport } from '../../src/pki/revocation-report.ts';
import { KnownIssuers } from '../../src/revocation/known-issuers.ts';
import { revocationStanding } from '../../src/revocation/standing.ts';
import { makeCa, makeEnd, now } from '../pki/make-certificate.ts';

const root = makeCa('Root');
const ca = makeCa('CA', 'Root');
const below = makeEnd('Below', 'CA');

/** Says of a certificate that there is no place that could be asked. */
const nowhere: RevocationReport['certificates'] = [
  {
    certificate: below,
    revocation: {
      status: 'undetermined',
      problems: [{ check: 'no-place', text: 'It names no place that says.' }],
    },
  },
];

function standing(...verdicts: RevocationReport['verdict'][]) {
  return standingWith([], ...verdicts);
}

function standingWith(
  certificates: RevocationReport['certificates'],
  ...verdicts: RevocationReport['verdict'][]
) {
  let asked = 0;
  const time = { now };
  const check = async (): Promise<RevocationReport> => ({
    ...{ verdict: verdicts[asked++] ?? 'unchecked', certificates, freshUntil: null, missing: [] },
  });
  const stands = revocationStanding({
    ...{
      checker: { check },
      anchors: new CertificateSet([root]),
      intermediates: [ca],
      clock: () => time.now,
    },
    log: silentLog,
    issuers: new KnownIssuers([], null, silentLog),
  });
  return { stands, time, asked: () => asked };
}

const seconds = (count: number) => new Date(now.getTime() + count * 1000);

describe('how a certificate stands', () => {
  test('is asked once a minute, however many mails need it', async () => {
    const { stands, time, asked } = standing('good', 'good');
    await Promise.all(Array.from({ length: 50 }, () => stands.of(below)));
    time.now = seconds(59);
    expect(await stands.of(below)).toEqual({ kind: 'good' });
    expect(asked()).toBe(1);
    time.now = seconds(61);
    await stands.of(below);
    expect(asked()).toBe(2);
  });

  test('is asked again when the clock was set back', async () => {
    const { stands, time } = standing('good', 'revoked');
    expect(await stands.of(below)).toEqual({ kind: 'good' });
    time.now = seconds(-61);
    expect(await stands.of(below)).toMatchObject({ kind: 'revoked' });
  });

  test('is asked again where there was no answer', async () => {
    const { stands } = standing('unchecked', 'good');
    expect(await stands.of(below)).toMatchObject({ kind: 'unchecked' });
    expect(await stands.of(below)).toEqual({ kind: 'good' });
  });

  test('is not asked with every mail where there is nobody to ask, but each second', async () => {
    const { stands, time, asked } = standingWith(nowhere, 'unchecked', 'good');
    const first = await stands.of(below);
    expect(first).toMatchObject({ kind: 'unchecked', mayPass: false });
    time.now = new Date(now.getTime() + 999);
    expect(await stands.of(below)).toEqual(first);
    expect(asked()).toBe(1);
    time.now = seconds(1);
    expect(await stands.of(below)).toEqual({ kind: 'good' });
  });

  test('without a path says nothing of a path by other certificates', async () => {
    const lower = makeCa('Lower', 'Root');
    const { stands } = standing('good');
    const end = makeEnd('Below lower', 'Lower');
    expect(await stands.of(end)).toEqual({ kind: 'no-path' });
    expect(await stands.of(end, [lower])).toEqual({ kind: 'good' });
  });

  test('is good for one that was configured itself, and nothing without a path', async () => {
    const { stands } = standing('unchecked');
    expect(await stands.of(root)).toEqual({ kind: 'good' });
    expect(await stands.of(makeEnd('Lost', 'Nobody'))).toEqual({ kind: 'no-path' });
  });
});
