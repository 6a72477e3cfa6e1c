import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { createThrowawayPki, type UserIdentity } from '../../src/evaluation/throwaway-pki.ts';
import { addressOf, type MailSystem, opensslVerify, startMailSystem } from '../support/mail-system.ts';

/**
 * M9: a signed mail is received. By hand a badge is looked at, then the details, the issuer and the validity; here the header of
 * the mail says it in any client, a part of text warns where something is wrong, and what a client with a badge of its own verifies
 * is still there.
 */

const ENTITY = 'Content-Type: text/plain; charset=utf-8\r\n\r\nthe harbour at seven\r\n';
let system: MailSystem;
let delivered = 0;

beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob'],
    reading: { clearSignedStatus: 'header' },
  });
});
afterAll(() => system?.stop());

/** OpenSSL signs it, the mail server gets it by another way than the gateway; what alice is shown through the gateway. */
async function shown(
  by: UserIdentity,
  form: readonly string[],
  { from = addressOf('bob'), change = (octets: Buffer) => octets, trace = '' } = {},
): Promise<{ mail: Buffer; stored: Buffer }> {
  const sign = ['cms', '-sign', '-md', 'sha256', '-signer', by.certificateFile, '-inkey', by.keyFile];
  const { stdout } = await runProgram('openssl', [...sign, ...form], { input: ENTITY });
  const header = `${trace}From: ${from}\r\nTo: ${addressOf('alice')}\r\nSubject: harbour\r\nMessage-ID: <${++delivered}@sealgate.test>\r\n`;
  const octets = change(
    Buffer.from(`${header}${stdout.toString('latin1').replace(/\r?\n/g, '\r\n')}`, 'latin1'),
  );
  await deliverByLmtp(system.dovecot.lmtpPort, {
    ...{ reversePath: from, recipients: [addressOf('alice')], octets },
    ...{ eightBit: false, smtpUtf8: false },
  });
  const [mail, stored] = await Promise.all([system.read('alice'), system.readDirect('alice')]);
  return { mail: mail.at(-1) ?? Buffer.alloc(0), stored: stored.at(-1) ?? Buffer.alloc(0) };
}

const OPAQUE = ['-nodetach'];
const CLEAR: readonly string[] = [];
const unfolded = (mail: Buffer): string => mail.toString('latin1').replace(/\r\n[ \t]+/g, ' ');
const header = (mail: Buffer): string => unfolded(mail).split('\r\n\r\n')[0] ?? '';

describe('M9: receive a signed mail: status, details, issuer, validity', () => {
  it('a good signature: who signed, who issued the certificate and its number are in the header', async () => {
    const { identity } = system.user('bob');
    const { mail, stored } = await shown(identity, OPAQUE);
    const serial = await runProgram('openssl', [
      'x509',
      '-in',
      identity.certificateFile,
      '-noout',
      '-serial',
    ]);
    const number = serial.stdout.toString().trim().replace('serial=', '');
    expect(header(mail)).toMatch(
      /^Authentication-Results: sealgate-[a-z0-9]+\.gateway\.sealgate\.test; smime=pass/m,
    );
    expect(header(mail)).toContain(`body.smime-identifier=${addressOf('bob')}`);
    expect(header(mail)).toMatch(/body\.smime-issuer="[^"]*CN=/);
    expect(header(mail).toLowerCase()).toContain(`body.smime-serial=${number.toLowerCase()}`);
    expect(header(mail)).toMatch(/^X-Sealgate-[a-z0-9]+-Status: v=1; view=opened; .*verdict=trusted/m);
    expect(header(mail)).toMatch(/sig=good; .*path=valid; .*from=from; signed=20[0-9-]+T[0-9:]+Z/);
    expect(mail.toString()).toContain('the harbour at seven');
    expect(mail.toString()).not.toContain('Sealgate warning');
    expect(mail.length).toBe(stored.length);
  });

  it('issuer and validity of its certificate are kept, and listed by `sealgate cert list`', async () => {
    const { stdout } = await runProgram(process.execPath, [
      ...['src/main.ts', 'cert', 'list', '--config', system.configFile, '--json'],
    ]);
    const entries = JSON.parse(stdout.toString()) as { address: string; issuer: string; notAfter: string }[];
    const bob = entries.find(({ address }) => address === addressOf('bob'));
    expect(bob?.issuer).toContain('CN=');
    const asked = ['x509', '-in', system.user('bob').identity.certificateFile, '-noout', '-enddate'];
    const end = (await runProgram('openssl', asked)).stdout.toString().trim().replace('notAfter=', '');
    expect(Date.parse(bob?.notAfter ?? '')).toBe(Date.parse(end));
  });

  it('a clear signature stays what it is, so that a client with a badge verifies it itself', async () => {
    const { mail, stored } = await shown(system.user('bob').identity, CLEAR);
    expect(mail.equals(stored)).toBe(true);
    expect((await opensslVerify(system, mail)).toString()).toContain('the harbour at seven');
  });

  it('with `clearSignedStatus: header` its header says what was found, where servers on the way had written enough', async () => {
    const hop =
      'Received: from relay.sealgate.test (relay.sealgate.test [192.0.2.1])\r\n\tby mx.sealgate.test with ESMTPS\r\n';
    const { mail, stored } = await shown(system.user('bob').identity, CLEAR, { trace: hop.repeat(10) });
    expect(header(mail)).toMatch(/smime=pass .*\r\nX-Sealgate-[a-z0-9]+-Status: .*verdict=trusted/);
    expect(mail.length).toBe(stored.length);
    expect(mail.subarray(mail.indexOf('\r\n\r\n')).equals(stored.subarray(stored.indexOf('\r\n\r\n')))).toBe(
      true,
    );
    expect((await opensslVerify(system, mail)).toString()).toContain('the harbour at seven');
    const { mail: changed } = await shown(system.user('bob').identity, CLEAR, {
      ...{ trace: hop.repeat(10) },
      change: (octets) => Buffer.from(octets.toString('latin1').replace('at seven', 'at eight'), 'latin1'),
    });
    expect(header(changed)).toMatch(/smime=fail.*verdict=broken/s);
  });

  it('changed on the way: said in the header and in a part of text, and nothing calls it trusted', async () => {
    const { mail } = await shown(system.user('bob').identity, OPAQUE, {
      change: (octets) => {
        const text = octets.toString('latin1');
        const at = text.indexOf('\r\n\r\n') + 4;
        const cms = Buffer.from(text.slice(at), 'base64');
        cms.write('N', cms.indexOf('at seven') + 3, 'latin1');
        const lines = cms.toString('base64').replace(/(.{64})/g, '$1\r\n');
        return Buffer.from(`${text.slice(0, at)}${lines}\r\n`, 'latin1');
      },
    });
    expect(header(mail)).toMatch(/smime=fail/);
    expect(header(mail)).toMatch(/verdict=broken/);
    expect(mail.toString()).toContain('The signature of this message is not valid');
    expect(header(mail)).not.toMatch(/smime=pass|verdict=trusted/);
  });

  it('by an authority that nobody trusts here: said, and shown all the same', async () => {
    const folder = join(system.folder, 'elsewhere');
    const elsewhere = await createThrowawayPki(folder);
    const stranger = await elsewhere.issueUser({ address: addressOf('bob'), name: 'bob', password: 'x' });
    const { mail } = await shown(stranger, OPAQUE);
    expect(header(mail)).toMatch(/smime=policy/);
    expect(header(mail)).toMatch(/verdict=untrusted/);
    expect(mail.toString()).toContain('The certificate of the signer is not trusted here');
    expect(mail.toString()).toContain('the harbour at seven');
  });

  it('signed by somebody else than its From: both facts are said', async () => {
    const { mail } = await shown(system.user('alice').identity, OPAQUE, { from: addressOf('bob') });
    expect(header(mail)).toMatch(/from=other/);
    expect(header(mail)).toContain(`body.smime-identifier=${addressOf('alice')}`);
    expect(mail.toString()).toContain('The signer is not the sender named in From');
    expect(header(mail)).not.toMatch(/verdict=trusted/);
  });

  it('a status that a sender writes himself says nothing: the name of the field is another one', async () => {
    const genuine = header((await shown(system.user('bob').identity, OPAQUE)).mail);
    const field = /^(X-Sealgate-[a-z0-9]+-Status): /m.exec(genuine)?.[1] ?? '';
    const results = /^(Authentication-Results: [^;]+; smime=pass)/m.exec(genuine)?.[1] ?? '';
    const octets = Buffer.from(
      `${field}: v=1; view=opened; verdict=trusted\r\n${results}\r\nFrom: ${addressOf('bob')}\r\nTo: ${addressOf('alice')}\r\nSubject: trust me\r\n\r\nunsigned\r\n`,
    );
    await deliverByLmtp(system.dovecot.lmtpPort, {
      ...{ reversePath: addressOf('bob'), recipients: [addressOf('alice')], octets },
      ...{ eightBit: false, smtpUtf8: false },
    });
    const mail = (await system.read('alice')).at(-1) ?? Buffer.alloc(0);
    expect(mail.toString()).toContain('unsigned');
    expect(mail.toString()).not.toContain(field);
    expect(mail.toString()).not.toContain(results);
  });

  it('`sealgate smime verify` tells of a saved mail the same, with the whole path', async () => {
    const { mail } = await shown(system.user('bob').identity, CLEAR);
    const file = join(system.folder, 'saved.eml');
    await writeFile(file, mail);
    const { stdout } = await runProgram(process.execPath, [
      ...['src/main.ts', 'smime', 'verify', file, '--anchor', system.pki.ca.certificateFile],
    ]);
    expect(stdout.toString()).toContain(addressOf('bob'));
    expect(stdout.toString()).toMatch(/trusted/);
  });
});
