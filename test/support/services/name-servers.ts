import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { firstFile } from '../require-command.ts';
import { stopProcess } from '../stop-process.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';
import { listening } from './listening.ts';

/** Debian's BIND with zones of a test's own, and Debian's Unbound, which resolves them and verifies DNSSEC; on 127.0.0.1. */
export type NameServers = {
  /** The resolver. */
  readonly port: number;
  /** The server of the zones, which resolves nothing for others. */
  readonly zonePort: number;
  /** The zones' server answers nothing any more; the resolver is there. */
  pauseZones(): void;
  resumeZones(): void;
  /** The resolver answers nothing any more. */
  pause(): void;
  resume(): void;
};

export type Zone = {
  name: string;
  /** Lines of the zone file, with names below the zone. */
  records: readonly string[];
  /** `bogus`: the signatures are by other keys than the resolver was told of. */
  dnssec: 'signed' | 'unsigned' | 'bogus';
};

export async function nameServers(
  zones: readonly Zone[],
  /** `silent`: domains whose servers say nothing. `port`: of the resolver. */
  { silent = [], port: wanted }: { silent?: readonly string[]; port?: number } = {},
): Promise<Started<NameServers>> {
  const { folder, remove } = await temporaryFolder('dns');
  const programs: ChildProcess[] = [];
  const end = async () => {
    for (const program of programs) {
      if (program.exitCode !== null || program.signalCode !== null) continue;
      const gone = once(program, 'exit');
      // SIGKILL ends one that is stopped as well.
      program.kill('SIGKILL');
      await gone;
    }
    await remove();
  };
  try {
    const written = await Promise.all(zones.map((zone) => writeZone(folder, zone)));
    const [zonePort, port] = [await freePort(), wanted ?? (await freePort())];
    await writeFile(join(folder, 'named.conf'), namedConf(folder, zonePort, written));
    const named = start(
      '/usr/sbin/named',
      'bind9',
      ['-g', '-c', join(folder, 'named.conf'), '-n', '1'],
      folder,
    );
    programs.push(named);
    await listening(zonePort, named, 'named');
    await writeFile(join(folder, 'unbound.conf'), unboundConf(folder, { port, zonePort, written, silent }));
    const unbound = start('/usr/sbin/unbound', 'unbound', ['-d', '-c', join(folder, 'unbound.conf')], folder);
    programs.push(unbound);
    await listening(port, unbound, 'unbound');
    return started<NameServers>({
      ...{ port, zonePort },
      pauseZones: () => stopProcess(named.pid ?? 0),
      resumeZones: () => void named.kill('SIGCONT'),
      pause: () => stopProcess(unbound.pid ?? 0),
      resume: () => void unbound.kill('SIGCONT'),
      stop: end,
    });
  } catch (error) {
    await end();
    throw error;
  }
}

type Written = { name: string; file: string; trustAnchor: string | null };

async function writeZone(folder: string, { name, records, dnssec }: Zone): Promise<Written> {
  const keys = join(folder, `${name}.keys`);
  await mkdir(keys);
  const file = join(folder, `${name}.zone`);
  const lines = [
    '$TTL 300',
    '@ IN SOA ns hostmaster 1 3600 600 86400 300',
    ...['@ IN NS ns', 'ns IN A 127.0.0.1', ...records],
  ];
  await writeFile(file, `$ORIGIN ${name}.\n${lines.join('\n')}\n`);
  if (dnssec === 'unsigned') return { name, file, trustAnchor: null };
  const key = async () => {
    const program = firstFile(
      ['/usr/bin/dnssec-keygen', '/usr/sbin/dnssec-keygen'],
      'dnssec-keygen',
      'bind9-utils',
    );
    const { stdout } = await runProgram(program, [
      '-q',
      '-K',
      keys,
      '-a',
      'ECDSAP256SHA256',
      '-f',
      'KSK',
      `${name}.`,
    ]);
    return stdout.toString().trim();
  };
  const dsOf = async (one: string) => {
    const program = firstFile(
      ['/usr/bin/dnssec-dsfromkey', '/usr/sbin/dnssec-dsfromkey'],
      'dnssec-dsfromkey',
      'bind9-utils',
    );
    return (await runProgram(program, [join(keys, one)])).stdout.toString().trim();
  };
  // Of one key the resolver is told, though nothing is signed with it.
  const other = dnssec === 'bogus' ? await dsOf(await key()) : null;
  const used = await key();
  await appendFile(file, await readFile(join(keys, `${used}.key`)));
  const trustAnchor = other ?? (await dsOf(used));
  const sign = firstFile(
    ['/usr/bin/dnssec-signzone', '/usr/sbin/dnssec-signzone'],
    'dnssec-signzone',
    'bind9-utils',
  );
  await runProgram(sign, [
    '-q',
    '-z',
    // Else it leaves a file where the tests run.
    '-d',
    keys,
    '-o',
    `${name}.`,
    '-f',
    `${file}.signed`,
    '-k',
    join(keys, used),
    file,
  ]);
  return { name, file: `${file}.signed`, trustAnchor };
}

function namedConf(folder: string, port: number, zones: readonly Written[]): string {
  return [
    'options {',
    `  directory "${folder}"; pid-file none; session-keyfile none; lock-file none;`,
    `  listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };`,
    '  recursion no; allow-query { any; }; dnssec-validation no;',
    '};',
    'controls { };',
    ...zones.map(({ name, file }) => `zone "${name}" { type primary; file "${file}"; };`),
    '',
  ].join('\n');
}

function unboundConf(
  folder: string,
  {
    port,
    zonePort,
    written,
    silent,
  }: { port: number; zonePort: number; written: readonly Written[]; silent: readonly string[] },
): string {
  const stub = (name: string, at: number) => [
    'stub-zone:',
    `  name: "${name}."`,
    `  stub-addr: 127.0.0.1@${at}`,
  ];
  return [
    'server:',
    `  interface: 127.0.0.1@${port}`,
    `  directory: "${folder}"`,
    ...['  username: ""', '  chroot: ""', '  pidfile: ""', '  use-syslog: no', '  num-threads: 1'],
    ...['  do-not-query-localhost: no', '  module-config: "validator iterator"', '  root-hints: ""'],
    // It knows by itself that there is nothing below it (RFC 6761).
    '  local-zone: "test." nodefault',
    ...['  access-control: 127.0.0.0/8 allow', '  incoming-num-tcp: 50', '  outgoing-range: 100'],
    ...written.flatMap(({ trustAnchor }) =>
      trustAnchor === null ? [] : [`  trust-anchor: "${trustAnchor}"`],
    ),
    ...['remote-control:', '  control-enable: no'],
    ...written.flatMap(({ name }) => stub(name, zonePort)),
    // RFC 5737: nobody has this address.
    ...silent.flatMap((name) => ['stub-zone:', `  name: "${name}."`, '  stub-addr: 192.0.2.1']),
    '',
  ].join('\n');
}

function start(file: string, packageName: string, args: readonly string[], folder: string): ChildProcess {
  const program = firstFile([file], file.split('/').at(-1) ?? file, packageName);
  return spawn(program, [...args], { cwd: folder, stdio: 'ignore' });
}
