import { chmod, chown, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runToEnd } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';
import { started, temporaryFolder } from './disposable.ts';

const NOBODY = 65_534;

/** Programs that submit mail, each with the login of one person, over STARTTLS on a port of this machine. */

export type SendingOptions = {
  /** An empty folder of its own. */
  folder: string;
  port: number;
  login: string;
  password: string;
  /** The authority that the server must be vouched for by, PEM. */
  caFile: string;
};

export type Letter = {
  from: string;
  to: readonly string[];
  /** Header fields and body, LF line ends. */
  text: string;
};

/** What a program has said; `accepted`: it ended as it does where the mail was taken. */
export type Sending = { accepted: boolean; output: string };

export type SendingClient = (options: SendingOptions, letter: Letter) => Promise<Sending>;

export const msmtp: SendingClient = async ({ folder, port, login, password, caFile }, { from, to, text }) => {
  const [program, secret, configuration] = [
    await requireCommand('msmtp'),
    join(folder, 'password'),
    join(folder, 'rc'),
  ];
  await writeFile(secret, `${password}\n`, { mode: 0o600 });
  const lines = [
    ...['defaults', 'account gateway', 'host localhost', `port ${port}`, `from ${from}`],
    ...['auth plain', `user ${login}`, `passwordeval cat ${secret}`],
    ...['tls on', 'tls_starttls on', `tls_trust_file ${caFile}`, 'account default : gateway', ''],
  ];
  await writeFile(configuration, lines.join('\n'), { mode: 0o600 });
  return run(program, ['-v', `--file=${configuration}`, '--', ...to], text, folder);
};

export const muttSending: SendingClient = async (options, { from, to, text }) => {
  const program = await requireCommand('mutt');
  const { folder, port, login, password, caFile } = options;
  const configuration = join(folder, 'muttrc');
  const set = {
    ...{ smtp_url: `smtp://${encodeURIComponent(login)}@localhost:${port}/`, smtp_pass: password },
    ...{ ssl_ca_certificates_file: caFile, from, envelope_from_address: from, smtp_authenticators: 'plain' },
  };
  const lines = [
    ...Object.entries(set).map(([key, value]) => `set ${key}="${value}"`),
    ...['set ssl_starttls=yes', 'set ssl_force_tls=yes', 'set ssl_usesystemcerts=no', 'set copy=no'],
    ...['set use_envelope_from=yes', 'set crypt_use_gpgme=no', ''],
  ];
  await writeFile(configuration, lines.join('\n'), { mode: 0o600 });
  const [header = '', ...body] = text.split('\n\n');
  const subject = /^Subject: (.*)$/m.exec(header)?.[1] ?? '';
  return run(program, ['-n', '-F', configuration, '-s', subject, '--', ...to], body.join('\n\n'), folder);
};

export const pythonSmtplib: SendingClient = async (options, { from, to, text }) => {
  const program = await requireCommand('python3');
  const { folder, port, login, password, caFile } = options;
  const script = join(folder, 'send.py');
  const lines = [
    'import json, smtplib, ssl, sys',
    'o = json.loads(sys.argv[1])',
    "context = ssl.create_default_context(cafile=o['caFile'])",
    "with smtplib.SMTP('localhost', o['port']) as server:",
    '    server.set_debuglevel(1)',
    '    server.starttls(context=context)',
    "    server.login(o['login'], open(o['secret']).read())",
    "    refused = server.sendmail(o['from'], o['to'], sys.stdin.read())",
    '    sys.exit(1 if refused else 0)',
    '',
  ];
  await writeFile(script, lines.join('\n'));
  const secret = join(folder, 'password');
  await writeFile(secret, password, { mode: 0o600 });
  const told = JSON.stringify({ port, login, caFile, secret, from, to });
  return run(program, [script, told], text, folder);
};

export const curlSending: SendingClient = async (options, { from, to, text }) => {
  const program = await requireCommand('curl');
  const { folder, port, login, password, caFile } = options;
  const [letter, secret] = [join(folder, 'letter'), join(folder, 'curlrc')];
  await writeFile(letter, text.replaceAll('\n', '\r\n'));
  await writeFile(secret, `user = "${login}:${password}"\n`, { mode: 0o600 });
  const receivers = to.flatMap((one) => ['--mail-rcpt', one]);
  const args = ['-v', '-K', secret, '--ssl-reqd', '--cacert', caFile, '--mail-from', from, ...receivers];
  return run(program, [...args, '--upload-file', letter, `smtp://localhost:${port}`], '', folder);
};

/** Exim as a relay with a smart host, as on a server whose mail is to be signed. It delivers at once and says how that went. */
export const eximSending: SendingClient = async (options, { from, to, text }) => {
  const { port, login, password } = options;
  const program = fileURLToPath(
    new URL('../../../node_modules/.debian/exim4-daemon-light/usr/sbin/exim4', import.meta.url),
  );
  // It never delivers as root: what it reads and writes then lies where nobody may walk to.
  await using temporary = started(await ofNobody('exim'));
  const { folder } = temporary;
  const [configuration, caFile] = [join(folder, 'exim.conf'), join(folder, 'ca.pem')];
  await copyFile(options.caFile, caFile);
  // With the right to become root it would be started without the accounts below.
  await chmod(program, 0o755);
  const accounts = await accountsOfExim(folder);
  const lines = [
    ...[`exim_path = ${program}`, `spool_directory = ${folder}/spool`],
    `log_file_path = ${folder}/spool/%slog`,
    ...['exim_user = nobody', 'exim_group = nogroup', 'primary_hostname = exim.sealgate.test'],
    ...[`keep_environment = ${Object.keys(accounts).join(' : ')}`, 'disable_ipv6 = true'],
    'begin routers',
    'gateway:',
    '  driver = manualroute',
    '  transport = submission',
    '  route_list = * localhost byname',
    '  self = send',
    'begin transports',
    'submission:',
    '  driver = smtp',
    `  port = ${port}`,
    '  hosts_require_tls = *',
    '  hosts_require_auth = *',
    `  tls_verify_certificates = ${caFile}`,
    '  tls_verify_hosts = *',
    'begin authenticators',
    'plain:',
    '  driver = plaintext',
    '  public_name = PLAIN',
    `  client_send = ^${login}^${password}`,
    '',
  ];
  await writeFile(configuration, lines.join('\n'), { mode: 0o644 });
  const args = ['-C', configuration, '-odf', '-oi', '-v', '-f', from, '--', ...to];
  const sending = await run(program, args, text, folder, accounts);
  // It takes the mail whatever becomes of it: only its words say that.
  const accepted = /^ {2}Completed$/m.test(sending.output) && !/ \*\* | == /.test(sending.output);
  return { ...sending, accepted };
};

async function ofNobody(name: string): Promise<{ folder: string; stop(): Promise<void> }> {
  const { folder, remove } = await temporaryFolder(name);
  await chmod(folder, 0o755);
  const spool = join(folder, 'spool');
  await mkdir(spool, { mode: 0o750 });
  await chown(spool, NOBODY, NOBODY);
  return { folder, stop: remove };
}

/** Debian's Exim begins with its own user, whom only an installation makes: an environment in which he is there. */
async function accountsOfExim(folder: string): Promise<Record<string, string>> {
  const [passwd, group] = [join(folder, 'passwd'), join(folder, 'group')];
  const users = [
    `root:x:0:0::/:`,
    `nobody:x:${NOBODY}:${NOBODY}::/:`,
    `Debian-exim:x:${NOBODY}:${NOBODY}::/:`,
  ];
  await writeFile(passwd, `${users.join('\n')}\n`, { mode: 0o644 });
  const groups = ['root:x:0:', `nogroup:x:${NOBODY}:`, `Debian-exim:x:${NOBODY}:`, 'mail:x:8:'];
  await writeFile(group, `${groups.join('\n')}\n`, { mode: 0o644 });
  return { LD_PRELOAD: 'libnss_wrapper.so', NSS_WRAPPER_PASSWD: passwd, NSS_WRAPPER_GROUP: group };
}

async function run(
  program: string,
  args: readonly string[],
  input: string,
  home: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Sending> {
  const { failure, stdout, stderr } = await runToEnd(program, args, {
    input: Buffer.from(input),
    env: { HOME: home, ...environment },
  });
  return { accepted: failure === null, output: `${stdout.toString('utf8')}${stderr}` };
}
