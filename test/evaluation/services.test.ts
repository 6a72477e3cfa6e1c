import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import type { ThrowawayPki, UserIdentity } from '../../src/evaluation/throwaway-pki.ts';
import { requireCommand } from '../support/require-command.ts';
import type { Started } from '../support/services/disposable.ts';
import { engine } from '../support/services/engine.ts';
import { services } from '../support/services/services.ts';

const CONTENT = Buffer.from('Content-Type: text/plain\r\n\r\nHello\r\n.dot\r\n');

let pki: Started<ThrowawayPki>;
let alice: UserIdentity;
let bob: UserIdentity;

beforeAll(async () => {
  pki = await services.pki();
  [alice, bob] = await Promise.all([
    pki.issueUser({ address: 'alice@example.test' }),
    pki.issueUser({ address: 'bob@example.test' }),
  ]);
});

afterAll(() => pki.stop());

describe('services from which tests get their peers', () => {
  test('gpgsm and NSS read what the other signed and encrypted with throwaway identities', async () => {
    await using gnupg = await services.gpgsm(pki);
    await using nss = await services.nss(pki);
    await Promise.all([gnupg.importIdentity(alice), nss.importIdentity(bob)]);
    await Promise.all([
      gnupg.importCertificate(bob.certificate),
      nss.importCertificate(alice.address, alice.certificate),
    ]);

    const byGnupg = await gnupg.sign(alice.address, CONTENT);
    expect(await nss.decode(byGnupg)).toEqual(CONTENT);
    const toNss = await gnupg.encrypt([bob.address], CONTENT);
    expect(await nss.decode(toNss)).toEqual(CONTENT);

    const byNss = await nss.sign(bob.address, CONTENT, { detached: true });
    const status = await gnupg.verify(byNss, CONTENT);
    expect(status.join('\n')).toMatch(/GOODSIG [\s\S]*TRUST_FULLY/);
    await expect(gnupg.verify(byNss, Buffer.from('Hallo'))).rejects.toThrow('gpgsm failed');
    const toGnupg = await nss.encrypt([alice.address], CONTENT);
    expect(await gnupg.decrypt(toGnupg)).toEqual(CONTENT);
  });

  test('a SoftHSM2 token makes its keys inside and gets certificates for them', async () => {
    await using token = await services.softhsm();
    const rsa = await token.generateKey(pki, { address: 'rsa@example.test' });
    const ec = await token.generateKey(pki, { address: 'ec@example.test', type: 'p-256' });
    const ca = new X509Certificate(pki.ca.certificate);
    for (const key of [rsa, ec]) {
      const certificate = new X509Certificate(key.certificate);
      expect(certificate.verify(ca.publicKey)).toBe(true);
      expect(certificate.subjectAltName).toBe(`email:${key.address}`);
    }
    const objects = await token.listObjects();
    expect(objects.match(/Access: +sensitive, always sensitive, never extractable, local/g)).toHaveLength(2);
    expect(objects.match(/Certificate Object/g)).toHaveLength(2);
  });

  test('two tokens side by side know nothing of each other', async () => {
    await using one = await services.softhsm();
    await using two = await services.softhsm();
    await one.generateKey(pki, { address: 'one@example.test' });
    expect(await two.listObjects()).not.toContain('one@example.test');
  });

  test('swaks sends through the upstream to Dovecot by STARTTLS, and mbsync pulls the mail', async () => {
    const users = [
      { login: 'alice@example.test', password: 'a pass: word' },
      { login: 'bob@example.test', password: randomBytes(9).toString('base64') },
    ] as const;
    const tls = await pki.issueServer();
    await using dovecot = await services.dovecot({ users, tls });
    await using upstream = await services.smtpUpstream({ users, tls, lmtpPort: dovecot.lmtpPort });
    await using swaks = await services.swaks();
    const message =
      'From: alice@example.test\r\nTo: bob@example.test\r\nSubject: dots\r\n\r\n.one\r\n..two\r\n';
    const mail = {
      port: upstream.port,
      from: 'alice@example.test',
      to: ['bob@example.test'],
      tls: 'starttls',
      caFile: pki.ca.certificateFile,
      message,
    } as const;

    const refused = await swaks.send({ ...mail, auth: { login: users[0].login, password: 'wrong' } });
    expect(refused.accepted).toBe(false);
    expect(refused.transcript).toContain('<~* 535 ');
    const sent = await swaks.send({ ...mail, auth: users[0] });
    expect(sent.transcript).toContain('250 2.6.0 OK: delivered to 1');
    expect(sent.transcript).not.toContain(users[0].password);
    expect(upstream.received.map(({ octets }) => octets.toString())).toEqual([message]);
    expect(upstream.received[0]?.envelope).toMatchObject({ login: 'alice@example.test', tls: true });

    for (const [kind, port] of [
      ['starttls', dovecot.imapPort],
      ['implicit', dovecot.imapsPort ?? 0],
    ] as const) {
      await using mirror = await services.mbsync({
        ...users[1],
        port,
        tls: kind,
        caFile: pki.ca.certificateFile,
      });
      const first = await mirror.sync();
      expect(first, first.transcript).toMatchObject({ succeeded: true });
      const [file] = await readdir(join(mirror.inbox, 'new'));
      expect(await readFile(join(mirror.inbox, 'new', file ?? ''), 'utf8')).toContain('\n.one\n..two\n');
      const before = await digest(mirror.folder);
      expect(await mirror.sync()).toMatchObject({ succeeded: true });
      expect(await digest(mirror.folder)).toBe(before);
    }
  });

  test('openssl trusts what the throwaway CA issues for mail, and nothing else', async () => {
    const openssl = await requireCommand('openssl');
    const server = await pki.issueServer();
    const verify = (...args: string[]) =>
      runProgram(openssl, ['verify', '-CAfile', pki.ca.certificateFile, ...args]);
    await verify('-purpose', 'smimesign', '-verify_email', alice.address, alice.certificateFile);
    await verify(
      '-purpose',
      'sslserver',
      '-verify_hostname',
      'localhost',
      '-verify_ip',
      '127.0.0.1',
      server.certFile,
    );
    await expect(verify('-purpose', 'smimesign', server.certFile)).rejects.toThrow();
    await expect(verify('-verify_email', bob.address, alice.certificateFile)).rejects.toThrow();
  });

  test('an engine that is not known is an error and not the local one', () => {
    expect(engine(undefined)).toBe('local');
    expect(engine('docker')).toBe('docker');
    expect(() => engine('podman')).toThrow('write "local" or "docker"');
  });
});

/** One digest over names and contents of everything below a folder. */
async function digest(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort()) hash.update(file).update(await readFile(file));
  return hash.digest('hex');
}
