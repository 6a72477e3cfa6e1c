import { freePort } from '../../../src/evaluation/free-port.ts';
import { startPostfixInstance } from './postfix-instance.ts';

/** A real Postfix around the gateway: in front of it in several ways, and behind it, where it delivers. */
export type RelayingPostfix = {
  /** `smtpd_proxy_filter`: the gateway sees a mail before it is taken. */
  beforeQueue: number;
  /** `content_filter`: it sees it after that, by SMTP or by LMTP. */
  afterQueue: number;
  afterQueueByLmtp: number;
  /** The same, for mail of own people to others. */
  outbound: number;
  /** What the gateway hands back to. */
  reinjection: number;
  logText(): Promise<string>;
  stop(): Promise<void>;
};

export type AroundGateway = {
  /** Ports of the gateway's listeners. */
  inbound: number;
  inboundByLmtp: number;
  outbound: number;
  reinjection: number;
  /** The own domain, and the LMTP server for it. */
  domain: string;
  lmtpPort: number;
  /** Where mail for all others goes, by SMTP. */
  sinkPort: number;
};

/** @throws Error where this is not root: Postfix starts only as root */
export async function startRelayingPostfix(around: AroundGateway): Promise<RelayingPostfix> {
  const [beforeQueue, afterQueue, afterQueueByLmtp, outbound] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const { inbound, inboundByLmtp, reinjection, domain, lmtpPort, sinkPort } = around;
  const back = 'content_filter= -o smtpd_authorized_xforward_hosts=127.0.0.0/8'
    .split(' -o ')
    .map((each) => `\n  -o ${each}`)
    .join('');
  const { logText, stop } = await startPostfixInstance(() => ({
    settings: [
      ...['myhostname = postfix.sealgate.test', 'mynetworks = 127.0.0.0/8', 'smtputf8_enable = no'],
      ...['inet_interfaces = 127.0.0.1', 'smtp_tls_security_level = none'],
      ...[`relay_domains = ${domain}`, `relay_transport = lmtp:inet:127.0.0.1:${lmtpPort}`],
      ...['relay_recipient_maps =', `default_transport = smtp:[127.0.0.1]:${sinkPort}`],
      'smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination',
      ...['minimal_backoff_time = 1s', 'queue_run_delay = 1s'],
    ],
    services: [
      `127.0.0.1:${beforeQueue} inet n - n - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:${inbound}\n  -o smtpd_authorized_xclient_hosts=127.0.0.1`,
      `127.0.0.1:${afterQueue} inet n - n - - smtpd\n  -o content_filter=smtp:[127.0.0.1]:${inbound}`,
      `127.0.0.1:${afterQueueByLmtp} inet n - n - - smtpd\n  -o content_filter=lmtp:inet:127.0.0.1:${inboundByLmtp}`,
      `127.0.0.1:${outbound} inet n - n - - smtpd\n  -o content_filter=smtp:[127.0.0.1]:${around.outbound}`,
      `127.0.0.1:${reinjection} inet n - n - - smtpd${back}`,
      'smtp unix - - n - - smtp\n  -o smtp_send_xforward_command=yes',
      'lmtp unix - - n - - lmtp',
    ],
  }));
  return { beforeQueue, afterQueue, afterQueueByLmtp, outbound, logText, reinjection, stop: () => stop() };
}
