import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';

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
  const program = await requireCommand('postfix');
  if (process.getuid?.() !== 0) throw new Error('Postfix starts only as root');
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-postfix-'));
  await chmod(folder, 0o755);
  const etc = join(folder, 'etc');
  for (const each of [etc, join(folder, 'queue'), join(folder, 'data')]) await mkdir(each, { mode: 0o755 });
  await chown(join(folder, 'data'), ...(await postfixOwner()));
  const [beforeQueue, afterQueue, afterQueueByLmtp, outbound] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const { inbound, inboundByLmtp, reinjection, domain, lmtpPort, sinkPort } = around;
  const settings = [
    'compatibility_level = 3.6',
    ...[`queue_directory = ${folder}/queue`, `data_directory = ${folder}/data`],
    ...[`maillog_file = ${folder}/log`, `maillog_file_prefixes = ${folder}`],
    'myhostname = postfix.sealgate.test',
    ...['mydestination =', 'mynetworks = 127.0.0.0/8', 'alias_maps =', 'smtputf8_enable = no'],
    ...['inet_interfaces = 127.0.0.1', 'inet_protocols = ipv4', 'smtp_tls_security_level = none'],
    ...[`relay_domains = ${domain}`, `relay_transport = lmtp:inet:127.0.0.1:${lmtpPort}`],
    ...['relay_recipient_maps =', `default_transport = smtp:[127.0.0.1]:${sinkPort}`],
    'smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination',
    ...['minimal_backoff_time = 1s', 'queue_run_delay = 1s'],
  ];
  const back = 'content_filter= -o smtpd_authorized_xforward_hosts=127.0.0.0/8'
    .split(' -o ')
    .map((each) => `\n  -o ${each}`)
    .join('');
  const services = [
    `127.0.0.1:${beforeQueue} inet n - n - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:${inbound}\n  -o smtpd_authorized_xclient_hosts=127.0.0.1`,
    `127.0.0.1:${afterQueue} inet n - n - - smtpd\n  -o content_filter=smtp:[127.0.0.1]:${inbound}`,
    `127.0.0.1:${afterQueueByLmtp} inet n - n - - smtpd\n  -o content_filter=lmtp:inet:127.0.0.1:${inboundByLmtp}`,
    `127.0.0.1:${outbound} inet n - n - - smtpd\n  -o content_filter=smtp:[127.0.0.1]:${around.outbound}`,
    `127.0.0.1:${reinjection} inet n - n - - smtpd${back}`,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'smtp unix - - n - - smtp\n  -o smtp_send_xforward_command=yes',
    'lmtp unix - - n - - lmtp',
    'proxymap unix - - n - - proxymap',
    'anvil unix - - n - 1 anvil',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  await writeFile(join(etc, 'main.cf'), `${settings.join('\n')}\n`);
  await writeFile(join(etc, 'master.cf'), `${services.join('\n')}\n`);
  await runProgram(program, ['-c', etc, 'start']);
  return {
    ...{ beforeQueue, afterQueue, afterQueueByLmtp, outbound, reinjection },
    logText: () => readFile(join(folder, 'log'), 'latin1'),
    async stop() {
      await runProgram(program, ['-c', etc, 'stop']);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function postfixOwner(): Promise<[uid: number, gid: number]> {
  const lines = (await readFile('/etc/passwd', 'latin1')).split('\n');
  const [, , uid, gid] = lines.find((line) => line.startsWith('postfix:'))?.split(':') ?? [];
  if (uid === undefined || gid === undefined) throw new Error('there is no user postfix');
  return [Number(uid), Number(gid)];
}
