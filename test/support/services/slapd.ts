import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { certificateFor } from '../certificate.ts';
import { firstFile } from '../require-command.ts';
import { stopProcess } from '../stop-process.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';
import { listening } from './listening.ts';

/** An OpenLDAP server of Debian's in a temporary folder, on free ports of 127.0.0.1; as "nobody" where the tests are root. */
export type Slapd = {
  /** `ldap://`, with StartTLS. */
  readonly port: number;
  /** `ldaps://`. */
  readonly securePort: number;
  readonly base: string;
  /** Its certificate, for `localhost`, which is also the only authority for it. */
  readonly caFile: string;
  readonly admin: { dn: string; password: string };
  /** It answers nothing any more, and its connections stay. */
  pause(): void;
  resume(): void;
  /** It ends, and its ports are closed. */
  end(): Promise<void>;
  /** Again, with these entries alone. */
  restart(entries: readonly LdapEntry[]): Promise<void>;
};

export type LdapEntry = {
  /** Below the base: `cn=Bob`; below that `ou=…` where it is said. */
  rdn: string;
  mail?: string;
  /** By attribute, as `userCertificate;binary`. */
  values?: Readonly<Record<string, readonly Buffer[]>>;
  /** Lines of LDIF in place of a person. */
  lines?: readonly string[];
};

export type SlapdOptions = {
  entries?: readonly LdapEntry[];
  /** Nobody finds anything without logging in. */
  loginNeeded?: boolean;
  /** Nothing but StartTLS is done in the clear. */
  tlsNeeded?: boolean;
};

const NOBODY = 65_534;
const BASE = 'dc=partner,dc=example';
const ADMIN = { dn: `cn=admin,${BASE}`, password: 'open sesame' };

export async function slapd(options: SlapdOptions = {}): Promise<Started<Slapd>> {
  const { entries = [], loginNeeded = false, tlsNeeded = false } = options;
  const program = firstFile(['/usr/sbin/slapd'], 'slapd', 'slapd');
  const { folder, remove } = await temporaryFolder('slapd');
  const asRoot = process.getuid?.() === 0;
  const identity = asRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const own = async (path: string) => {
    if (asRoot) await chown(path, NOBODY, NOBODY);
  };
  const material = certificateFor('localhost');
  const write = async (name: string, content: string | Buffer) => {
    await writeFile(join(folder, name), content, { mode: 0o600 });
    await own(join(folder, name));
    return join(folder, name);
  };
  await own(folder);
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, material.cert, { mode: 0o644 });
  const certificate = await write('server.pem', material.cert);
  const key = await write('server.key', await readFile(join(material.file, '..', 'key.pem')));
  material.remove();
  const ports = { port: await freePort(), securePort: await freePort() };
  let count = 0;
  let server: ChildProcess;

  const run = async (name: string, args: readonly string[]): Promise<void> => {
    const child = spawn(program, [...args], {
      ...identity,
      argv0: name,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let complaint = '';
    child.stderr?.on('data', (text: Buffer) => {
      complaint += text.toString();
    });
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${name} failed: ${complaint}`);
  };

  const start = async (loaded: readonly LdapEntry[]) => {
    const data = join(folder, `data-${++count}`);
    await mkdir(data, { mode: 0o700 });
    await own(data);
    const conf = await write(
      'slapd.conf',
      [
        ...['core', 'cosine', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema`),
        ...['modulepath /usr/lib/ldap', 'moduleload back_mdb'],
        ...[`pidfile ${join(folder, 'pid')}`, `argsfile ${join(folder, 'args')}`],
        ...[`TLSCertificateFile ${certificate}`, `TLSCertificateKeyFile ${key}`],
        ...(tlsNeeded ? ['security tls=1'] : []),
        ...['database mdb', `suffix "${BASE}"`, `directory ${data}`, 'maxsize 16777216', 'dbnosync'],
        ...[`rootdn "${ADMIN.dn}"`, `rootpw "${ADMIN.password}"`],
        `access to * by ${loginNeeded ? 'users' : '*'} read`,
        '',
      ].join('\n'),
    );
    const ldif = await write('entries.ldif', ldifOf(loaded));
    await run('slapadd', ['-q', '-f', conf, '-l', ldif]);
    server = spawn(
      program,
      ['-f', conf, '-d', '0', '-h', `ldap://127.0.0.1:${ports.port}/ ldaps://127.0.0.1:${ports.securePort}/`],
      { ...identity, cwd: folder, stdio: 'ignore' },
    );
    for (const port of Object.values(ports)) await listening(port, server, 'slapd');
  };
  const end = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, 'exit');
    // SIGKILL ends one that is stopped as well.
    server.kill('SIGKILL');
    await gone;
  };
  await start(entries);
  return started<Slapd>({
    ...ports,
    ...{ base: BASE, caFile, admin: ADMIN },
    pause: () => stopProcess(server.pid ?? 0),
    resume: () => void server.kill('SIGCONT'),
    end,
    async restart(loaded) {
      await end();
      await start(loaded);
    },
    async stop() {
      await end();
      await remove();
    },
  });
}

function ldifOf(entries: readonly LdapEntry[]): string {
  const base = [
    `dn: ${BASE}`,
    'objectClass: dcObject',
    'objectClass: organization',
    'o: Partner',
    'dc: partner',
  ];
  const people = entries.map(({ rdn, mail, values = {}, lines }) =>
    [
      `dn: ${rdn},${BASE}`,
      ...(lines ?? [
        ...['objectClass: inetOrgPerson', `cn: ${rdn.replace(/^cn=/, '')}`, 'sn: Somebody'],
        ...(mail === undefined ? [] : [`mail:: ${Buffer.from(mail).toString('base64')}`]),
        ...Object.entries(values).flatMap(([name, all]) =>
          all.map((value) => `${name}:: ${value.toString('base64')}`),
        ),
      ]),
    ].join('\n'),
  );
  return `${[base.join('\n'), ...people].join('\n\n')}\n`;
}
