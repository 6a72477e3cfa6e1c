import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';

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
  const program = await requireCommand('postfix');
  if (process.getuid?.() !== 0) throw new Error('Postfix starts only as root');
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-postfix-'));
  await chmod(folder, 0o755);
  const etc = join(folder, 'etc');
  const [port, proxiedPort] = [await freePort(), await freePort()];
  for (const each of [etc, join(folder, 'queue'), join(folder, 'data')]) await mkdir(each, { mode: 0o755 });
  await chown(join(folder, 'data'), ...(await postfixOwner()));
  const settings = [
    'compatibility_level = 3.6',
    `queue_directory = ${folder}/queue`,
    `data_directory = ${folder}/data`,
    `maillog_file = ${folder}/log`,
    `maillog_file_prefixes = ${folder}`,
    'myhostname = postfix.sealgate.test',
    ...['mydestination =', 'mynetworks =', 'alias_maps =', 'default_transport = discard'],
    ...['inet_interfaces = 127.0.0.1', 'inet_protocols = ipv4'],
    'smtpd_relay_restrictions = permit_sasl_authenticated, reject',
    ...['smtpd_sasl_auth_enable = yes', 'smtpd_sasl_type = dovecot'],
    `smtpd_sasl_path = inet:127.0.0.1:${authPort}`,
    'smtpd_authorized_xclient_hosts = 127.0.0.1',
    'smtpd_recipient_restrictions = check_recipient_access inline:{ { refused@partner.example = 550 5.1.1 no such user } }',
  ];
  const services = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    `127.0.0.1:${proxiedPort} inet n - n - - smtpd\n  -o smtpd_upstream_proxy_protocol=haproxy`,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'discard unix - - n - - discard',
    'proxymap unix - - n - - proxymap',
    'anvil unix - - n - 1 anvil',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  await writeFile(join(etc, 'main.cf'), `${settings.join('\n')}\n`);
  await writeFile(join(etc, 'master.cf'), `${services.join('\n')}\n`);
  await runProgram(program, ['-c', etc, 'start']);
  return {
    ...{ port, proxiedPort },
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
