import type { Event } from '../../../src/log/events.ts';
import type { Log } from '../../../src/log/log.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';
import { validatePath } from '../../../src/pki/path.ts';
import type { RevocationReport } from '../../../src/pki/revocation-report.ts';
import {
  openRevocation,
  type Revocation,
  type RevocationParts,
  type RevocationSettings,
} from '../../../src/revocation/open-revocation.ts';
import { ecKey, makeCa, makeCertificate, now } from '../../pki/make-certificate.ts';
import { cRLDistributionPoints } from '../../pki/make-crl.ts';
import { authorityInfoAccess } from './extensions.ts';

export { authorityInfoAccess };

export const root = makeCa('Root');

let serial = 1;

/** A certificate of the root that names these places. */
export function subscriber(
  places: { ocsp?: string[]; crl?: string[] },
  extensions: Buffer[] = [],
): Certificate {
  return makeCertificate({
    subject: 'Subscriber',
    issuer: 'Root',
    key: ecKey('Subscriber'),
    issuerKey: ecKey('Root'),
    serial: ++serial,
    extensions: [
      ...(places.ocsp === undefined ? [] : [authorityInfoAccess(...places.ocsp)]),
      ...(places.crl === undefined ? [] : [cRLDistributionPoints(...places.crl.map((uri) => ({ uri })))]),
      ...extensions,
    ],
  });
}

export const serialOf = ({ serialNumber }: Certificate): Buffer => serialNumber;

/** Opens with the settings of a gateway that may ask this machine. */
export async function open(
  port: number,
  settings: Partial<RevocationSettings> = {},
  parts: Partial<RevocationParts> = {},
): Promise<Revocation & { events: Event[]; time: { now: Date } }> {
  const events: Event[] = [];
  const time = { now };
  const log: Log = { write: (event) => events.push(event) };
  const revocation = await openRevocation({
    settings: {
      ...{ fetch: true, sources: 'ocsp-first', nonce: 'never', timeoutSeconds: 20, maxAgeHours: null },
      ...{ graceHours: 0, allowAddresses: ['127.0.0.1'], allowPorts: [port], cacheSize: 1024 * 1024 },
      ...settings,
    },
    ...{ file: null, anchors: [root], intermediates: [], clock: () => time.now, log },
    ...parts,
  });
  return { ...revocation, events, time };
}

export async function check(
  { checker, time }: { checker: Revocation['checker']; time: { now: Date } },
  certificate: Certificate,
  pool: Certificate[] = [],
): Promise<RevocationReport> {
  const at = time.now;
  const report = validatePath({ certificate, pool, anchors: [root], at });
  if (report.outcome === 'invalid') throw new Error(report.problems[0]?.text);
  return checker.check({ path: report.path, crls: [], pool, at });
}

/** Everything that was told about what could not be settled. */
export function words(report: RevocationReport): string {
  return report.certificates
    .flatMap(({ revocation }) => (revocation.status === 'undetermined' ? revocation.problems : []))
    .map(({ text }) => text)
    .join(' ');
}
