import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { mayCertificateSign } from '../../../src/pki/key-purpose.ts';
import { speaksFor } from '../../../src/pki/speaks-for.ts';
import type { OwnIdentity } from '../../../src/queue/own-key.ts';
import { generalName, makeCertificate, subjectAltName } from '../../pki/make-certificate.ts';
import { principalNamed } from '../../support/principal.ts';
import { type LoadedKey, SoftwareKeys } from '../../support/software-keys.ts';

export const GATEWAY = 'gateway@example.org';

/** A key of the gateway's that can be written down, for a process that is killed and another one that goes on. */
export type WrittenKey = { certificate: string; key: string };

export function newOwnKey(address = GATEWAY): WrittenKey {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const extensions = [subjectAltName(generalName.mailbox(address))];
  const { der } = makeCertificate({ subject: 'gateway', issuer: 'gateway', issuerKey: key, key, extensions });
  return {
    certificate: der.toString('base64'),
    key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** The gateway as the holder of these keys, the first of which seals. `away`: its private keys are not there. */
export function ownIdentity(
  written: readonly WrittenKey[],
  state: { away: boolean } = { away: false },
  address = GATEWAY,
): OwnIdentity {
  const software = new SoftwareKeys();
  const loaded = written.map(
    ({ certificate, key }): LoadedKey => ({
      ...{ label: 'gateway', certificate: parseCertificate(Buffer.from(certificate, 'base64')), chain: [] },
      privateKey: createPrivateKey(key),
    }),
  );
  return {
    address,
    principal: principalNamed('gateway'),
    keyring: {
      addressesOf: () => [address],
      signingKeys: async (_principal, wanted) =>
        loaded
          .filter(({ certificate }) => mayCertificateSign(certificate, new Date()).kind === 'may')
          .filter(({ certificate }) => speaksFor(certificate, wanted))
          .flatMap((one) => software.signingKey(one) ?? []),
      whyNoSigningKey: () => ({ reason: 'none', duration: 'permanent', publicText: 'There is none.' }),
      decryptionKeys: async () =>
        state.away ? [] : loaded.flatMap((one) => software.decryptionKey(one) ?? []),
      ownCertificates: () => loaded.map(({ certificate }) => ({ certificate, readsOaep: true })),
      unseen: () => (state.away ? 'Insert the token of the gateway.' : null),
    },
  };
}
