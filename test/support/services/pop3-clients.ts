import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ProgramEnd, runToEnd } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';

export type Pop3ClientOptions = {
  /** On localhost. */
  port: number;
  tls: 'implicit' | 'starttls';
  login: string;
  password: string;
  caFile: string;
  /** Has TLS 1.0 and the key exchange of its time, and nothing newer. */
  old?: boolean;
  /** How curl logs in; absent: as it likes. */
  mechanism?: string;
};

const OLD_CIPHERS = 'AES128-SHA:@SECLEVEL=0';

/** What curl gives for a POP3 path: `` lists, a number fetches; `request` is another command. */
export async function curlPop3(
  { port, tls, login, password, caFile, mechanism, old = false }: Pop3ClientOptions,
  path: string,
  request?: string,
): Promise<ProgramEnd> {
  const program = await requireCommand('curl');
  const settings = [
    `url = "${tls === 'implicit' ? 'pop3s' : 'pop3'}://localhost:${port}/${path}"`,
    `user = "${login}:${password}"`,
    `cacert = "${caFile}"`,
    'ssl-reqd',
    'silent',
    'show-error',
    'max-time = 30',
    ...(mechanism === undefined ? [] : [`login-options = "AUTH=${mechanism}"`]),
    ...(old ? ['tlsv1.0', 'tls-max = "1.0"', `ciphers = "${OLD_CIPHERS}"`] : []),
    ...(request === undefined ? [] : [`request = "${request}"`]),
  ];
  return runToEnd(program, ['-K', '-'], { input: `${settings.join('\n')}\n` });
}

/** Says all of it in one go, over TLS from the first octet, as OpenSSL's own client; what came back. */
export async function opensslPop3(
  { port, login, password, caFile, old = false }: Pop3ClientOptions,
  commands: readonly string[],
): Promise<ProgramEnd> {
  const program = await requireCommand('openssl');
  const args = [
    's_client',
    '-quiet',
    '-connect',
    `localhost:${port}`,
    '-CAfile',
    caFile,
    '-verify_return_error',
  ];
  const lines = [`USER ${login}`, `PASS ${password}`, ...commands, ''];
  return runToEnd(program, [...args, ...(old ? ['-tls1', '-cipher', OLD_CIPHERS] : [])], {
    input: lines.join('\r\n'),
  });
}

/** Every message with Python's poplib: sizes by LIST and STAT, octets by RETR and TOP, as JSON with Latin-1 text. */
export async function poplibRead(options: Pop3ClientOptions): Promise<PoplibReading> {
  const program = await requireCommand('python3');
  const end = await runToEnd(
    program,
    ['-c', POPLIB, JSON.stringify({ ...options, login: '', password: '' })],
    {
      input: `${options.login}\n${options.password}\n`,
    },
  );
  if (end.failure !== null) throw new Error(`${end.failure}: ${end.stderr}`);
  return JSON.parse(end.stdout.toString('utf8'));
}

export type PoplibReading = {
  stat: [number, number];
  messages: { size: number; uidl: string; whole: string; octets: number; top: string }[];
};

const POPLIB = `
import json, poplib, ssl, sys
options = json.loads(sys.argv[1])
login, password = sys.stdin.read().split('\\n')[:2]
context = ssl.create_default_context(cafile=options['caFile'])
if options['tls'] == 'implicit':
    box = poplib.POP3_SSL('localhost', options['port'], context=context, timeout=30)
else:
    box = poplib.POP3('localhost', options['port'], timeout=30)
    box.stls(context=context)
box.user(login)
box.pass_(password)
text = lambda lines: '\\r\\n'.join(line.decode('latin-1') for line in lines) + '\\r\\n'
uidls = dict(line.decode().split(' ') for line in box.uidl()[1])
messages = []
for line in box.list()[1]:
    number, size = line.decode().split(' ')
    _, lines, octets = box.retr(int(number))
    whole = text(lines)
    assert len(whole) == octets, (len(whole), octets)
    messages.append({'size': int(size), 'uidl': uidls[number], 'whole': whole, 'octets': octets, 'top': text(box.top(int(number), 5)[1])})
print(json.dumps({'stat': box.stat(), 'messages': messages}))
box.quit()
`;

/** fetchmail, one file for each mail. */
export type Fetchmail = {
  /** `leave`: mail stays on the server and is known by its UIDL; `take`: it is deleted there. */
  pull(mode: 'leave' | 'take'): Promise<ProgramEnd>;
  /** What has been pulled so far, LF line ends, in no order. */
  mails(): Promise<string[]>;
  stop(): Promise<void>;
};

export async function fetchmailPop3({
  port,
  tls,
  login,
  password,
  caFile,
  old = false,
}: Pop3ClientOptions): Promise<Started<Fetchmail>> {
  const program = await requireCommand('fetchmail');
  const { folder: home, remove } = await temporaryFolder('fetchmail-pop3');
  const mails = join(home, 'mails');
  await mkdir(mails);
  const receive = join(home, 'receive');
  await writeFile(receive, `#!/bin/sh\nexec cat > "$(mktemp '${mails}/XXXXXXXXXX')"\n`, { mode: 0o700 });
  const conf = join(home, 'openssl.cnf');
  await writeFile(
    conf,
    'openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = old\n[old]\nMinProtocol = TLSv1\nMaxProtocol = TLSv1\nCipherString = AES128-SHA:@SECLEVEL=0\n',
  );
  const settings = (mode: 'leave' | 'take'): string => `set invisible
poll localhost protocol POP3 service ${port}${mode === 'leave' ? ' uidl' : ''}
  user "${login}" password "${password}"
  ${tls === 'implicit' ? 'ssl ' : ''}sslcertck sslcertfile "${caFile}" sslproto "${old ? 'TLS1' : 'TLS1.2+'}"
  ${mode === 'leave' ? 'keep' : 'nokeep fetchall'} no rewrite no mimedecode
  mda "${receive}"
`;
  return started<Fetchmail>({
    async pull(mode) {
      const rc = join(home, `rc-${mode}`);
      await writeFile(rc, settings(mode), { mode: 0o600 });
      const args = ['-v', '-f', rc, '--pidfile', join(home, 'pid'), '-i', join(home, 'ids')];
      return runToEnd(program, args, { env: { HOME: home, ...(old ? { OPENSSL_CONF: conf } : {}) } });
    },
    async mails() {
      const names = await readdir(mails);
      return Promise.all(names.map(async (name) => (await readFile(join(mails, name))).toString('latin1')));
    },
    stop: remove,
  });
}
