import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { requireCommand } from '../support/require-command.ts';
import { type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';

describe('E10: use it from any client, with nothing to install', () => {
  let system: MailSystem;

  beforeAll(async () => {
    system = await startMailSystem({ users: ['alice', 'bob'], pinned: ['bob'] });
  });
  afterAll(() => system.stop());

  it('swaks sends plain text; the wire carries it signed and encrypted; OpenSSL agrees', async () => {
    await requireCommand('swaks', 'swaks');
    const { login, password } = system.user('alice');
    const message = [
      `From: ${login}`,
      'To: bob@sealgate.test',
      'Subject: from swaks',
      'Message-ID: <swaks@sealgate.test>',
      '',
      'the boathouse key',
      '',
    ].join('\n');
    const options = join(system.folder, 'swaks.conf');
    // Options in a file: a password on the command line could be read by every user of the machine.
    await writeFile(options, `auth-user ${login}\nauth-password ${password}\n`, { mode: 0o600 });
    const mail = join(system.folder, 'swaks.eml');
    await writeFile(mail, message);
    await runProgram('swaks', [
      ...['--config', options, '--server', 'localhost', '--port', String(system.submissionPort)],
      ...['--tls', '--tls-verify', '--tls-ca-path', system.pki.ca.certificateFile],
      ...['--from', login, '--to', 'bob@sealgate.test', '--data', `@${mail}`],
    ]);

    const [wire] = system.taken();
    expect(wire?.octets.toString()).toContain('application/pkcs7-mime; smime-type=enveloped-data');
    expect(wire?.octets.toString()).not.toContain('boathouse');
    const text = await opensslOpen(system, wire?.octets ?? Buffer.alloc(0), 'bob');
    expect(text.toString()).toContain('the boathouse key');
  });

  it('imapflow shows bob plain, verified text, while the mailbox keeps the encrypted original', async () => {
    const [stored] = await system.stored('bob');
    const [seen] = await system.read('bob');
    expect(stored?.toString()).not.toContain('boathouse');
    expect(seen?.toString()).toContain('the boathouse key');
    expect(seen?.toString()).toMatch(/^Authentication-Results: [^;]*; smime=pass/m);
    expect(seen?.length).toBe(stored?.length);
  });

  it('mbsync pulls the same plain text', async () => {
    await requireCommand('mbsync', 'isync');
    const folder = join(system.folder, 'mbsync');
    await mkdir(folder);
    const { login, password } = system.user('bob');
    const config = join(folder, 'mbsyncrc');
    await writeFile(
      config,
      [
        'IMAPStore gateway',
        'Host localhost',
        `Port ${system.imapPort}`,
        `User ${login}`,
        `Pass ${password}`,
        'SSLType IMAPS',
        `CertificateFile ${system.pki.ca.certificateFile}`,
        '',
        'MaildirStore local',
        `Inbox ${folder}/INBOX`,
        'SubFolders Verbatim',
        '',
        'Channel pull',
        'Far :gateway:',
        'Near :local:',
        'Sync Pull',
        'Create Near',
        `SyncState ${folder}/`,
        '',
      ].join('\n'),
      { mode: 0o600 },
    );
    await runProgram('mbsync', ['-c', config, 'pull']);
    const [file] = await readdir(join(folder, 'INBOX', 'new'));
    const pulled = await readFile(join(folder, 'INBOX', 'new', file ?? ''));
    expect(pulled.toString()).toContain('the boathouse key');
  });

  it('python’s imaplib reads it as well', async () => {
    await requireCommand('python3', 'python3');
    const { login, password } = system.user('bob');
    const script = [
      'import imaplib, ssl, sys, json',
      'c = json.load(sys.stdin)',
      'box = imaplib.IMAP4_SSL("localhost", c["port"], ssl_context=ssl.create_default_context(cafile=c["ca"]))',
      'box.login(c["login"], c["password"])',
      'box.select("INBOX", readonly=True)',
      'kind, data = box.fetch("1", "(RFC822)")',
      'sys.stdout.buffer.write(data[0][1])',
      'box.logout()',
    ].join('\n');
    const input = JSON.stringify({ login, password, port: system.imapPort, ca: system.pki.ca.certificateFile });
    const { stdout } = await runProgram('python3', ['-c', script], { input });
    expect(stdout.toString()).toContain('the boathouse key');
    expect(stdout.length).toBe((await system.stored('bob'))[0]?.length);
  });
});
