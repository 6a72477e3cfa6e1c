import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/load.ts';
import type { Certificate } from '../pki/certificate.ts';
import { readCertificates } from '../pki/certificate-file.ts';
import { TrustAnchors } from '../pki/trust-anchors.ts';
import { openRevocation, type Revocation } from '../revocation/open-revocation.ts';
import type { Opening } from './opening.ts';

/** Whom the configuration believes, and certificates that paths may go through. */
export type Trust = { anchors: TrustAnchors; intermediates: Certificate[] };

/** @throws SealgateError where a file holds no certificate */
export async function loadTrust(trust: Config['trust']): Promise<Trust> {
  const [anchors, intermediates] = await Promise.all([
    trustAnchorsOf(trust),
    certificatesOf(trust.intermediates),
  ]);
  return { anchors, intermediates };
}

/** Every anchor with what it is believed for. @throws SealgateError where a file holds none */
export async function trustAnchorsOf(trust: Config['trust']): Promise<TrustAnchors> {
  const restricted = trust.restrictedAnchors.map(async ({ file, for: purposes, domains }) => ({
    ...{ certificates: await certificatesOf([file]), purposes: new Set(purposes), domains },
  }));
  return new TrustAnchors([
    {
      certificates: await certificatesOf(trust.anchors),
      purposes: new Set(['signing', 'encryption'] as const),
      domains: null,
    },
    ...(await Promise.all(restricted)),
  ]);
}

/** @throws SealgateError where a file holds none */
export async function certificatesOf(files: readonly string[]): Promise<Certificate[]> {
  return (await Promise.all(files.map(async (file) => readCertificates(await readFile(file))))).flat();
}

/** Evidence of revocation as the configuration wants it, in the state folder. */
export function openRevocationFor(
  { config, clock, log }: Pick<Opening, 'config' | 'clock' | 'log'>,
  { anchors, intermediates }: Trust,
): Promise<Revocation> {
  return openRevocation({
    settings: config.trust.revocation,
    file: join(config.stateFolder, 'revocation.sqlite'),
    ...{ anchors: [...anchors.all], intermediates, clock, log },
  });
}
