import type { Config } from '../config/load.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import { parseCertificate } from '../pki/certificate.ts';
import { validatePath } from '../pki/path.ts';
import type { ShownCertificates } from '../smtp-in/relay-admission.ts';
import { certificatesOf } from './trust.ts';

type Allowed = NonNullable<Config['relay'][number]['from']>['certificates'];

// serverAuth, clientAuth, anyExtendedKeyUsage: a mail server shows the certificate of its host, and public authorities give those for servers alone.
const USES = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2', '2.5.29.37.0'];

/**
 * Certificates that clients of a listener may show: exactly that one, or one of an authority for a host of that name, valid now.
 *
 * @throws SealgateError where a file holds no certificate
 */
export async function clientCertificates(allowed: Allowed, clock: Clock): Promise<ShownCertificates> {
  const fingerprints = new Set(allowed.flatMap(({ fingerprint }) => fingerprint ?? []));
  const authorities = await Promise.all(
    allowed.flatMap(({ ca, names }) =>
      ca === null || names === null
        ? []
        : [certificatesOf([ca]).then((anchors) => ({ anchors, names: names.map(nameTest) }))],
    ),
  );
  return {
    admit(chain) {
      const [shown, ...pool] = parsed(chain);
      if (shown === undefined) return false;
      if (fingerprints.has(shown.fingerprint)) return true;
      const at = clock();
      return authorities.some(
        ({ anchors, names }) =>
          isForTls(shown) &&
          hostNames(shown).some((host) => names.some((matches) => matches(host))) &&
          validatePath({ certificate: shown, pool, anchors, at }).outcome === 'valid',
      );
    },
  };
}

/** What cannot be read ends the chain. */
function parsed(chain: readonly Buffer[]): Certificate[] {
  const certificates: Certificate[] = [];
  for (const der of chain) {
    try {
      certificates.push(parseCertificate(der));
    } catch {
      break;
    }
  }
  return certificates;
}

function isForTls({ extendedKeyUsage }: Certificate): boolean {
  return extendedKeyUsage === null || USES.some((use) => extendedKeyUsage.includes(use));
}

/** RFC 9525 §6.3: names of hosts, as the certificate has them; a wildcard is no name of a client. */
function hostNames({ subjectAltName }: Certificate): string[] {
  return subjectAltName.flatMap((name) => (name.kind === 'dNSName' ? [name.text.toLowerCase()] : []));
}

function nameTest(pattern: string): (host: string) => boolean {
  if (!pattern.startsWith('*.')) return (host) => host === pattern;
  return (host) => host.endsWith(pattern.slice(1)) && !host.includes('*');
}
