import { afterAll, beforeAll, expect, it } from 'vitest';
import { oid } from '../../src/asn1/writer.ts';
import { addressOf, type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';

/** From the section `smime` of the configuration to what leaves, on a running gateway. */

let system: MailSystem;
beforeAll(async () => {
  system = await startMailSystem({
    ...{ users: ['alice', 'bob'], pinned: ['bob'] },
    smime: { rsaSignature: 'pss', rsaKeyTransport: 'oaep' },
  });
});
afterAll(() => system.stop());

it('PSS and OAEP for everybody where an agreement demands them; OpenSSL and Bob read it', async () => {
  await system.send('alice', { to: addressOf('bob'), subject: 'one', text: 'the boathouse key' });
  const [mail] = system.taken();
  const octets = mail?.octets ?? Buffer.alloc(0);
  const text = octets.toString('latin1');
  const cms = Buffer.from(text.slice(text.indexOf('\r\n\r\n')), 'base64');
  expect(cms.includes(oid('1.2.840.113549.1.1.7'))).toBe(true);
  expect((await opensslOpen(system, octets, 'bob')).toString()).toContain('the boathouse key');
  const [shown] = await system.read('bob');
  expect(shown?.toString()).toContain('the boathouse key');
  expect(shown?.toString()).toMatch(/smime=pass/);
  const signature = shown?.toString('latin1').split(/filename="smime\.p7s"\r\n\r\n/)[1] ?? '';
  expect(
    Buffer.from(signature.split('\r\n--')[0] ?? '', 'base64').includes(oid('1.2.840.113549.1.1.10')),
  ).toBe(true);
});
