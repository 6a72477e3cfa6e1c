import { freePort } from '../../../src/evaluation/free-port.ts';
import { startPostfixInstance } from './postfix-instance.ts';

/** A real Postfix for submission, which believes this machine whose connection it is, and delivers nothing. */
export type Postfix = {
  /** XCLIENT is taken here. */
  port: number;
  /** Connections begin with a PROXY header here. */
  proxiedPort: number;
  logText(): Promise<string>;
  stop(): Promise<void>;
};

/**
 * An instance of its own, with its queue in a temporary folder.
 *
 * @param authPort where Dovecot's authentication service listens
 * @throws Error where this is not root: Postfix starts only as root
 */
export async function startPostfix(authPort: number): Promise<Postfix> {
  const [port, proxiedPort] = [await freePort(), await freePort()];
  const { logText, stop } = await startPostfixInstance(() => ({
    settings: [
      ...['myhostname = postfix.sealgate.test', 'mynetworks =', 'default_transport = discard'],
      'inet_interfaces = 127.0.0.1',
      'smtpd_relay_restrictions = permit_sasl_authenticated, reject',
      ...['smtpd_sasl_auth_enable = yes', 'smtpd_sasl_type = dovecot'],
      `smtpd_sasl_path = inet:127.0.0.1:${authPort}`,
      'smtpd_authorized_xclient_hosts = 127.0.0.1',
      'smtpd_recipient_restrictions = check_recipient_access inline:{ { refused@partner.example = 550 5.1.1 no such user } }',
    ],
    services: [
      `127.0.0.1:${port} inet n - n - - smtpd`,
      `127.0.0.1:${proxiedPort} inet n - n - - smtpd\n  -o smtpd_upstream_proxy_protocol=haproxy`,
      'discard unix - - n - - discard',
    ],
  }));
  return { port, proxiedPort, logText, stop: () => stop() };
}
