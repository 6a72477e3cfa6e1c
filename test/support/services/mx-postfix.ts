import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startPostfixInstance } from './postfix-instance.ts';

/** A real Postfix as the mail server of some domains, with TLS. What it takes it throws away, and its log says so. */
export type MxPostfix = { logText(): Promise<string>; stop(): Promise<void> };

/** @throws Error where this is not root: Postfix starts only as root */
export async function startMxPostfix({
  host,
  port,
  domains,
  tls,
}: {
  host: string;
  port: number;
  domains: readonly string[];
  tls: { certFile: string; keyFile: string };
}): Promise<MxPostfix> {
  const { logText, stop } = await startPostfixInstance(async (etc) => {
    await copyFile(tls.certFile, join(etc, 'cert.pem'));
    await copyFile(tls.keyFile, join(etc, 'key.pem'));
    return {
      settings: [
        ...['myhostname = mx.postfix.test', 'mynetworks ='],
        // Postfix knows no more addresses of this machine than its interfaces have; where it listens is said below.
        'inet_interfaces = all',
        ...[`relay_domains = ${domains.join(', ')}`, 'relay_transport = discard', 'relay_recipient_maps ='],
        'smtpd_relay_restrictions = reject_unauth_destination',
        'smtpd_recipient_restrictions = check_recipient_access inline:{ { refused@ee.signed.example = 550 5.1.1 no such user } }',
        ...['smtpd_tls_security_level = may', 'smtpd_tls_loglevel = 1'],
        ...[`smtpd_tls_cert_file = ${etc}/cert.pem`, `smtpd_tls_key_file = ${etc}/key.pem`],
      ],
      services: [
        `${host}:${port} inet n - n - - smtpd`,
        'tlsmgr unix - - n 1000? 1 tlsmgr',
        'discard unix - - n - - discard',
      ],
    };
  });
  return { logText, stop: () => stop('abort') };
}
