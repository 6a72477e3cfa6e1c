import { describe, expect, it } from 'vitest';
import type { HeaderProtection } from '../../src/mail/header-protection.ts';
import { decideInbound } from '../../src/policy/decide-inbound.ts';
import { openMessage } from '../../src/smime/open.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { signingKey } from '../cms/support/software-keys.ts';
import {
  commonName,
  distinguishedName,
  ecKey,
  emailAddress,
  extendedKeyUsage,
  generalName,
  keyUsage,
  makeCa,
  makeCertificate,
  now,
  subjectAltName,
} from '../pki/make-certificate.ts';

const ca = makeCa('CA');
const usage = [keyUsage(0), extendedKeyUsage(false, '1.3.6.1.5.5.7.3.4')];

function certificate(...extensions: Buffer[]) {
  return makeCertificate({
    subject: distinguishedName(emailAddress('alice@example.org')),
    issuer: commonName('CA'),
    key: ecKey('Alice'),
    issuerKey: ecKey('CA'),
    extensions: [...usage, ...extensions],
  });
}

async function verdict(
  signer: ReturnType<typeof certificate>,
  from: string,
  subjectEmailAddress: boolean | undefined,
  headerProtection: HeaderProtection | null,
): Promise<string> {
  const key = signingKey(ecKey('Alice').privateKey, signer, [{ kind: 'ecdsa', digest: 'sha256' }]);
  const mail = Buffer.from(`From: ${from}\r\nSubject: s\r\nContent-Type: text/plain\r\n\r\nHello\r\n`);
  const signed = await signMessage(mail, key, { form: 'opaque', at: now, headerProtection });
  const option = subjectEmailAddress === undefined ? {} : { subjectEmailAddress };
  const { report } = await openMessage(signed, [], { at: now, anchors: [ca], pool: [], ...option });
  return decideInbound(report).kind;
}

describe.each<HeaderProtection | null>([null, { kind: 'clear' }])(
  'with header protection %o',
  (protection) => {
    it('an emailAddress in the subject counts only where the configuration says so (RFC 8550 §3)', async () => {
      expect(await verdict(certificate(), 'alice@example.org', undefined, protection)).toBe('untrusted');
      expect(await verdict(certificate(), 'alice@example.org', false, protection)).toBe('untrusted');
      expect(await verdict(certificate(), 'alice@example.org', true, protection)).toBe('trusted');
      expect(await verdict(certificate(), 'boss@example.org', true, protection)).toBe('untrusted');
    });

    it('and never beside an address in subjectAltName, which is the one that counts', async () => {
      const both = certificate(subjectAltName(generalName.mailbox('alias@example.org')));
      expect(await verdict(both, 'alice@example.org', true, protection)).toBe('untrusted');
      expect(await verdict(both, 'alias@example.org', true, protection)).toBe('trusted');
    });
  },
);
