import { chmod, chown, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';

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
  const program = await requireCommand('postfix');
  if (process.getuid?.() !== 0) throw new Error('Postfix starts only as root');
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-postfix-'));
  await chmod(folder, 0o755);
  const etc = join(folder, 'etc');
  for (const each of [etc, join(folder, 'queue'), join(folder, 'data')]) await mkdir(each, { mode: 0o755 });
  await chown(join(folder, 'data'), ...(await postfixOwner()));
  await copyFile(tls.certFile, join(etc, 'cert.pem'));
  await copyFile(tls.keyFile, join(etc, 'key.pem'));
  const settings = [
    'compatibility_level = 3.6',
    ...[`queue_directory = ${folder}/queue`, `data_directory = ${folder}/data`],
    ...[`maillog_file = ${folder}/log`, `maillog_file_prefixes = ${folder}`],
    ...['myhostname = mx.postfix.test', 'mydestination =', 'mynetworks =', 'alias_maps ='],
    // Postfix knows no more addresses of this machine than its interfaces have; where it listens is said below.
    ...['inet_interfaces = all', 'inet_protocols = ipv4'],
    ...[`relay_domains = ${domains.join(', ')}`, 'relay_transport = discard', 'relay_recipient_maps ='],
    'smtpd_relay_restrictions = reject_unauth_destination',
    'smtpd_recipient_restrictions = check_recipient_access inline:{ { refused@ee.signed.example = 550 5.1.1 no such user } }',
    ...['smtpd_tls_security_level = may', 'smtpd_tls_loglevel = 1'],
    ...[`smtpd_tls_cert_file = ${etc}/cert.pem`, `smtpd_tls_key_file = ${etc}/key.pem`],
  ];
  const services = [
    `${host}:${port} inet n - n - - smtpd`,
    'tlsmgr unix - - n 1000? 1 tlsmgr',
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
    logText: () => readFile(join(folder, 'log'), 'latin1'),
    async stop() {
      await runProgram(program, ['-c', etc, 'abort']);
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
