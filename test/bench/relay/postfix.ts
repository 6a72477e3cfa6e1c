import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import type { Contender } from '../benchmark.ts';
import { type Cores, onCores, otherCores } from './cores.ts';
import { awaitListening, mailsOf, relayRound, SENDER, startSink } from './load.ts';

export type PostfixFilter = 'none' | 'openssl-cms-sign';

/**
 * An instance of Postfix of its own, with its queue in a temporary folder. Postfix starts only as root.
 * With the filter, every mail goes through `openssl cms -sign` in a pipe(8) transport and comes back by sendmail: the
 * usual way to sign on a Postfix without further software.
 */
export function postfixContender({
  filter,
  cores = null,
}: {
  filter: PostfixFilter;
  cores?: Cores | null;
}): Contender {
  const rest = cores === null ? null : otherCores(cores);
  return {
    name: filter === 'none' ? 'Postfix' : 'Postfix + openssl cms -sign filter',
    role: 'peer',
    async start() {
      if (process.getuid?.() !== 0) {
        throw new Error(
          'Postfix starts only as root: run the benchmark as root, or name other benchmarks on the command line',
        );
      }
      const folder = await mkdtemp(join(tmpdir(), 'sealgate-postfix-'));
      await chmod(folder, 0o755);
      const port = await freePort();
      const sink = await startSink(rest);
      await writeInstance(folder, port, sink.port, filter);
      await runProgram(...onCores(cores, 'postfix', ['-c', join(folder, 'etc'), 'start']));
      const pid = Number((await readFile(join(folder, 'queue', 'pid', 'master.pid'), 'latin1')).trim());
      await awaitListening(port);
      const [quick, full] = filter === 'none' ? [1_000, 3_000] : [150, 600];
      return {
        run: (size) => relayRound(port, sink, mailsOf(size, quick, full), pid, rest),
        async stop() {
          await runProgram('postfix', ['-c', join(folder, 'etc'), 'stop']);
          await sink.stop();
          await rm(folder, { recursive: true, force: true });
        },
      };
    },
  };
}

async function writeInstance(
  folder: string,
  port: number,
  sink: number,
  filter: PostfixFilter,
): Promise<void> {
  const etc = join(folder, 'etc');
  await mkdir(etc);
  await mkdir(join(folder, 'queue'));
  const [uid, gid] = await postfixOwner();
  await mkdir(join(folder, 'data'), { mode: 0o700 });
  await chown(join(folder, 'data'), uid, gid);
  const settings = [
    'compatibility_level = 3.6',
    `queue_directory = ${folder}/queue`,
    `data_directory = ${folder}/data`,
    'myhostname = postfix.sealgate.test',
    'mydestination =',
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    'mynetworks = 127.0.0.0/8',
    `relayhost = [127.0.0.1]:${sink}`,
    'smtp_tls_security_level = none',
    'smtpd_relay_restrictions = permit_mynetworks, reject',
    `maillog_file = ${folder}/log`,
    `maillog_file_prefixes = ${folder}`,
    // A sink that ends with the round must not make the next round wait.
    'minimal_backoff_time = 1s',
    'queue_run_delay = 1s',
    'smtp_destination_concurrency_failed_cohort_limit = 0',
    'default_process_limit = 100',
    'alias_maps =',
    ...(filter === 'none'
      ? []
      : ['content_filter = cmssign:dummy', 'cmssign_destination_recipient_limit = 1']),
    '',
  ];
  await writeFile(join(etc, 'main.cf'), settings.join('\n'));
  const services = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    'pickup unix n - n 1 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'verify unix - - n - 1 verify',
    'flush unix n - n 1000? 0 flush',
    'smtp unix - - n - - smtp',
    'relay unix - - n - - smtp',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'proxymap unix - - n - - proxymap',
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  if (filter === 'openssl-cms-sign') {
    services[1] = 'pickup unix n - n 1 1 pickup\n  -o content_filter=';
    services.push(
      `cmssign unix - n n - 4 pipe\n  flags=q user=nobody argv=/bin/sh ${folder}/sign.sh \${sender} \${recipient}`,
    );
    await writeSigner(folder);
  }
  await writeFile(join(etc, 'master.cf'), `${services.join('\n')}\n`);
}

async function writeSigner(folder: string): Promise<void> {
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const identity = await pki.issueUser({ address: SENDER });
  // The filter runs as an unprivileged user and must read this key; it is worth nothing.
  const key = join(folder, 'filter.key');
  const certificate = join(folder, 'filter.crt');
  await writeFile(key, identity.key, { mode: 0o644 });
  await writeFile(certificate, identity.certificate, { mode: 0o644 });
  const script = [
    '#!/bin/sh',
    `openssl cms -sign -signer ${certificate} -inkey ${key} | sendmail -C ${folder}/etc -G -i -f "$1" -- "$2"`,
    '',
  ];
  await writeFile(join(folder, 'sign.sh'), script.join('\n'), { mode: 0o755 });
}

async function postfixOwner(): Promise<[number, number]> {
  const line = (await readFile('/etc/passwd', 'latin1'))
    .split('\n')
    .find((one) => one.startsWith('postfix:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined)
    throw new Error('there is no user postfix: install the Debian package postfix');
  return [Number(uid), Number(gid)];
}
