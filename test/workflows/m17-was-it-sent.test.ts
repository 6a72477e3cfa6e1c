import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram, runToEnd } from '../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';

describe('M17: was it sent?', () => {
  describe('the mail server says so at once', () => {
    let system: MailSystem;
    beforeAll(async () => {
      system = await startMailSystem({ users: ['alice', 'bob'] });
    });
    afterAll(() => system?.stop());

    it('the reply is the mail server’s own, with an id by which the gateway tells what became of the mail', async () => {
      const reply = await system.send('alice', { to: addressOf('bob'), subject: 'x', text: 'y' });
      const id = mailIdIn(reply);
      const { stdout } = await sealgate(system, ['trace', id]);
      const lines = stdout.trimEnd().split('\n');
      expect(lines[0]).toBe(id);
      expect(lines[1]).toContain(`taken from ${addressOf('alice')}`);
      expect(lines[1]).toContain(`to ${addressOf('bob')}`);
      expect(lines[3]).toContain(`signed for ${addressOf('bob')} by rule all`);
      expect(lines[2]).toContain('the key alice');
      expect(lines[4]).toContain(`taken by the mail server for ${addressOf('bob')}: 250 `);
      const said = /^250 (?:[\d.]+ )?(.*?) \[/.exec(reply)?.[1] ?? 'nothing';
      expect(lines[4]).toContain(said);
    });

    it('and is found by sender and recipient, as text and as JSON', async () => {
      const id = mailIdIn(await system.send('alice', { to: addressOf('bob'), subject: 'x', text: 'y' }));
      const found = await sealgate(system, [
        'trace',
        '--from',
        addressOf('Alice'),
        '--to',
        'bob@',
        '--hours',
        '1',
      ]);
      expect(found.stdout).toContain(id);
      const { stdout } = await sealgate(system, ['trace', id, '--json']);
      const { mails } = JSON.parse(stdout) as { mails: { steps: { event: string }[] }[] };
      expect(mails[0]?.steps.map(({ event }) => event)).toEqual([
        ...['mail.taken', 'key.used', 'mail.protected', 'mail.handed-over'],
      ]);
    });

    it('what cannot be sent is refused with a sentence, and the trace says why', async () => {
      const refused = system.send('alice', { to: 'nobody@sealgate.test', subject: 'x', text: 'y' });
      await expect(refused).rejects.toThrow(/550/);
      const error: unknown = await system
        .send('alice', { from: addressOf('bob'), to: addressOf('bob'), subject: 'x', text: 'y' })
        .catch((reason: unknown) => reason);
      const reply = String((error as { response?: string }).response);
      expect(reply).toMatch(/^550 5\.7\.1 .*alice@sealgate\.test.*bob@sealgate\.test/);
      const { stdout } = await sealgate(system, ['trace', mailIdIn(reply)]);
      expect(stdout).toMatch(/refused \(.*\): .*may not send/);
    });

    it('an id that nobody has is told as such', async () => {
      const { stderr, code } = await sealgate(system, ['trace', '0000000000aaaaaaaaaa']);
      expect(code).not.toBe(0);
      expect(stderr).toContain('Nothing is known of the mail 0000000000aaaaaaaaaa');
    });
  });

  describe('the gateway delivers it itself, and it fails later', () => {
    let system: MailSystem;
    beforeAll(async () => {
      system = await startMailSystem({
        users: ['alice', 'bob'],
        queue: {},
        submission: { delivery: 'queue' },
      });
    });
    afterAll(() => system?.stop());

    it('the sender has a report in her inbox that names who has not got it; the trace of the mail has both', async () => {
      const reply = await system.send('alice', {
        ...{ to: [addressOf('bob'), 'nobody@sealgate.test'], subject: 'x', text: 'the boathouse key' },
      });
      const id = mailIdIn(reply);
      await expect.poll(() => system.read('alice')).toHaveLength(1);
      const [report = Buffer.alloc(0)] = await system.read('alice');
      const text = report.toString();
      expect(text).toMatch(/^Content-Type: multipart\/report; .*report-type=delivery-status/ims);
      expect(text).toMatch(
        /^Final-Recipient: rfc822; ?nobody@sealgate\.test\r\nAction: failed\r\nStatus: 5\./m,
      );
      expect(text).not.toMatch(/^Final-Recipient: rfc822; ?bob@/m);
      await expect.poll(() => system.read('bob')).toHaveLength(1);
      await expect
        .poll(async () => (await sealgate(system, ['trace', id])).stdout)
        .toMatch(
          /delivered from the queue to bob@sealgate\.test: (.|\n)*failed for nobody@sealgate\.test, the sender is told by mail/,
        );
    });
  });

  describe('the copy in the Sent folder', () => {
    let system: MailSystem;
    beforeAll(async () => {
      system = await startMailSystem({
        users: ['alice', 'bob'],
        append: { rules: [{ mailbox: ['Sent-Encrypted'], store: 'at-rest' }] },
      });
    });
    afterAll(() => system?.stop());

    it.each([
      ['Sent', 'as the program has it'],
      ['Sent-Encrypted', 'encrypted to its sender alone'],
    ])('%s: %s', async (mailbox, how) => {
      const copy = `From: ${addressOf('alice')}\r\nTo: ${addressOf('bob')}\r\nSubject: sent\r\n\r\nthe boathouse key\r\n`;
      const { login, password } = system.user('alice');
      const open = async (port: number, secure: boolean) => {
        const client = new ImapFlow({
          ...{ host: 'localhost', port, secure, tls: { ca: system.pki.ca.certificate }, logger: false },
          auth: { user: login, pass: password },
        });
        await client.connect();
        return client;
      };
      const client = await open(system.imapPort, true);
      await client.mailboxCreate(mailbox).catch(() => null);
      await client.append(mailbox, copy, ['\\Seen']);
      const read = async (reader: ImapFlow) => {
        await reader.mailboxOpen(mailbox, { readOnly: true });
        const message = await reader.fetchOne('1', { source: true });
        await reader.logout();
        return message === false || message === undefined
          ? ''
          : (message.source ?? Buffer.alloc(0)).toString();
      };
      expect(await read(client)).toBe(copy);
      const stored = await read(await open(system.dovecot.imapPort, false));
      if (mailbox === 'Sent') expect(stored, how).toBe(copy);
      else {
        expect(stored, how).not.toContain('boathouse');
        const { certificateFile, keyFile } = system.user('alice').identity;
        const key = ['-binary', '-recip', certificateFile, '-inkey', keyFile];
        const { stdout } = await runProgram('openssl', ['cms', '-decrypt', ...key], { input: stored });
        expect(stdout.toString(), how).toContain('the boathouse key');
      }
    });
  });
});

/** At the end of a reply, in brackets. */
function mailIdIn(reply: string): string {
  const id = /(?:\[|\(mail )([0-9a-z]{20})[\])]$/.exec(reply.trimEnd())?.[1];
  if (id === undefined) throw new Error(`there is no mail id in ${reply}`);
  return id;
}

async function sealgate({ configFile }: MailSystem, words: readonly string[]) {
  const args = ['src/main.ts', ...words, '--config', configFile];
  const { failure, stdout, stderr } = await runToEnd(process.execPath, args);
  return { code: failure === null ? 0 : 1, stdout: stdout.toString(), stderr: stderr.toString() };
}
