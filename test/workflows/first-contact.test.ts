import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { type GatewayProcess, startByHand } from '../attacks/support/gateway-process.ts';
import {
  addressOf,
  type MailSystem,
  opensslOpen,
  opensslVerify,
  readInbox,
  startMailSystem,
} from '../support/mail-system.ts';
import { signedBy } from './support/from-elsewhere.ts';

/** Two people who have never written to each other; one of them has no gateway, and signs with OpenSSL. */
describe('first contact works by itself, across a gateway that is killed', () => {
  let system: MailSystem;
  let gateway: GatewayProcess;
  /** There is no folder before the first mail. */
  const inbox = () => system.stored('stranger').catch((): Buffer[] => []);

  beforeAll(async () => {
    system = await startMailSystem({
      users: ['alice', 'stranger'],
      withoutKeys: ['stranger'],
      queue: {},
      rules: [
        {
          ...{ name: 'confidential', sign: 'require', encrypt: 'require', subject: 'protect' },
          ...{ withoutCertificate: 'hold', introduce: true },
        },
      ],
    });
    await system.gateway.close();
    gateway = await startByHand(system, 'first', {});
  });
  afterAll(async () => {
    await gateway?.stop();
    await system.stop();
  });

  it('alice writes to a stranger: the mail waits, and nothing of it is readable anywhere', async () => {
    const { login, password } = system.user('alice');
    const client = createTransport({
      ...{ host: 'localhost', port: gateway.port('submission'), requireTLS: true },
      ...{ tls: { ca: system.pki.ca.certificate }, auth: { user: login, pass: password } },
    });
    const { response } = await client.sendMail({
      ...{ from: addressOf('alice'), to: addressOf('stranger'), subject: 'The boathouse' },
      text: 'the key is under the third stone',
    });
    client.close();
    expect(response).toMatch(/^250 2\.0\.0 Kept until it can be encrypted/);
    await expect.poll(inbox).toHaveLength(1);
    const state = join(system.folder, 'state');
    // The note has left; its file goes then.
    await expect.poll(() => readdir(join(state, 'queue'))).toHaveLength(1);
    for (const entry of await readdir(state, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const octets = await readFile(join(entry.parentPath, entry.name));
      expect(octets.includes('third stone'), entry.name).toBe(false);
      expect(octets.includes('boathouse'), entry.name).toBe(false);
      expect(octets.includes(Buffer.from('third stone').toString('base64').slice(0, 12))).toBe(false);
    }
  });

  it('the stranger has a note that alice has signed, and nothing else', async () => {
    const [note = Buffer.alloc(0)] = await inbox();
    const text = (await opensslVerify(system, note)).toString();
    expect(text).toContain('answer this note with a digitally signed mail');
    expect(note.toString()).toContain(`From: <${addressOf('alice')}>`);
    expect(note.toString()).not.toContain('boathouse');
  });

  it('the gateway is killed and started again; alice reads the stranger’s signed answer, and the mail leaves, encrypted', async () => {
    gateway.child.kill('SIGKILL');
    await once(gateway.child, 'close');
    gateway = await startByHand(system, 'second', {});
    const answer = await signedBy(
      system.user('stranger').identity,
      'Content-Type: text/plain\r\n\r\nhere is my signature\r\n',
    );
    const header = `From: ${addressOf('stranger')}\r\nTo: ${addressOf('alice')}\r\nSubject: re\r\n`;
    await deliverByLmtp(system.dovecot.lmtpPort, {
      ...{ reversePath: addressOf('stranger'), recipients: [addressOf('alice')] },
      octets: Buffer.from(`${header}${answer.toString('latin1').replace(/\r?\n/g, '\r\n')}`, 'latin1'),
    });
    expect(await inbox()).toHaveLength(1);
    const [shown] = await readInbox(
      { port: gateway.port('imaps'), secure: true },
      system.user('alice'),
      system.pki.ca.certificate,
    );
    expect(shown?.toString()).toContain('here is my signature');

    await expect.poll(inbox).toHaveLength(2);
    const mail = (await inbox()).find((one) => /enveloped-data/i.test(one.toString()));
    expect(mail?.includes('boathouse')).toBe(false);
    const opened = (await opensslOpen(system, mail ?? Buffer.alloc(0), 'stranger')).toString();
    expect(opened).toContain('the key is under the third stone');
    expect(opened).toContain('Subject: The boathouse');
    // Nothing of it is left, and it comes once.
    await expect.poll(() => readdir(join(system.folder, 'state', 'queue'))).toEqual([]);
    expect(await gateway.stop()).toBe(0);
    expect(await inbox()).toHaveLength(2);
  });
});
