import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireProgram } from '../../src/evaluation/debian-packages.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';
import { services } from '../support/services/services.ts';

describe('E10: use it from any client, with nothing to install', () => {
  let system: MailSystem;

  beforeAll(async () => {
    system = await startMailSystem({ users: ['alice', 'bob'], pinned: ['bob'] });
  });
  afterAll(() => system.stop());

  it('swaks sends plain text; the wire carries it signed and encrypted; OpenSSL agrees', async () => {
    await using swaks = await services.swaks();
    const sent = await swaks.send({
      port: system.submissionPort,
      from: addressOf('alice'),
      to: [addressOf('bob')],
      auth: system.user('alice'),
      tls: 'starttls',
      caFile: system.pki.ca.certificateFile,
      message: [
        `From: ${addressOf('alice')}`,
        `To: ${addressOf('bob')}`,
        'Subject: from swaks',
        'Message-ID: <swaks@sealgate.test>',
        '',
        'the boathouse key',
        '',
      ].join('\r\n'),
    });
    expect(sent.accepted, sent.transcript).toBe(true);

    const [wire] = system.taken();
    expect(wire?.octets.toString()).toContain('application/pkcs7-mime; smime-type=enveloped-data');
    expect(wire?.octets.toString()).not.toContain('boathouse');
    const text = await opensslOpen(system, wire?.octets ?? Buffer.alloc(0), 'bob');
    expect(text.toString()).toContain('the boathouse key');
  });

  it('imapflow shows bob plain, verified text, while the mailbox keeps the encrypted original', async () => {
    const [stored] = await system.readDirect('bob');
    const [seen] = await system.read('bob');
    expect(stored?.toString()).not.toContain('boathouse');
    expect(seen?.toString()).toContain('the boathouse key');
    expect(seen?.toString()).toMatch(/^Authentication-Results: [^;]*;\s+smime=pass/m);
    expect(seen?.length).toBe(stored?.length);
  });

  it('mbsync pulls the same plain text', async () => {
    await using mbsync = await services.mbsync({
      port: system.imapPort,
      ...system.user('bob'),
      tls: 'implicit',
      caFile: system.pki.ca.certificateFile,
    });
    const { succeeded, transcript } = await mbsync.sync();
    expect(succeeded, transcript).toBe(true);
    const [file] = await readdir(join(mbsync.inbox, 'new'));
    const pulled = await readFile(join(mbsync.inbox, 'new', file ?? ''));
    expect(pulled.toString()).toContain('the boathouse key');
  });

  it('python’s imaplib reads it as well', async () => {
    const python = await requireProgram('python3', ['python3']);
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
    const input = JSON.stringify({
      login,
      password,
      port: system.imapPort,
      ca: system.pki.ca.certificateFile,
    });
    const { stdout } = await runProgram(python, ['-c', script], { input });
    expect(stdout.toString()).toContain('the boathouse key');
    expect(stdout.length).toBe((await system.readDirect('bob'))[0]?.length);
  });
});
