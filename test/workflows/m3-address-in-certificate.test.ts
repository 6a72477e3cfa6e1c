import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem, opensslVerify, startMailSystem } from '../support/mail-system.ts';

/** Alice's login writes from two addresses; her only certificate is for one of them. Carol's is for somebody she is not. */

const OFFICE = 'office@sealgate.test';
let system: MailSystem;

beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'carol'],
    async keys({ users, folder, pki }) {
      const former = await pki.issueUser({
        address: 'carol@former.test',
        name: 'Carol',
        password: 'p12-former',
      });
      const sources: object[] = [];
      for (const [name, identity] of [
        ['alice', users.get('alice')?.identity],
        ['carol', former],
      ] as const) {
        const password = join(folder, `${name}.secret`);
        await writeFile(password, identity?.password ?? '', { mode: 0o600 });
        sources.push({ name, kind: 'pkcs12', file: identity?.pkcs12File, password: { file: password } });
      }
      return sources;
    },
    principal: (name) => (name === 'alice' ? { addresses: [addressOf('alice'), OFFICE] } : {}),
  });
});
afterAll(() => system?.stop());

describe('M3: the mailbox address must be the one in the certificate', () => {
  it('at sending: the refusal names both addresses, and nothing reaches the mail server', async () => {
    system.taken();
    const sent = system.send('alice', { from: OFFICE, to: addressOf('carol'), subject: 'M3', text: 'hello' });
    const reply = await sent.then(
      () => 'accepted',
      (error: Error & { response?: string }) => error.response ?? error.message,
    );
    expect(reply).toMatch(/^550[ -]5\.7\.1 /);
    expect(reply).toContain(addressOf('alice'));
    expect(reply).toContain(OFFICE);
    expect(system.taken()).toEqual([]);
  });

  it('from the address in the certificate it goes out signed', async () => {
    await system.send('alice', { to: addressOf('carol'), subject: 'M3 again', text: 'hello again' });
    const [mail] = system.taken();
    const signed = await opensslVerify(system, mail?.octets ?? Buffer.alloc(0));
    expect(signed.toString()).toContain('hello again');
  });

  it('at mapping: the gateway says at its start whose certificate is for somebody else, with both addresses', () => {
    expect(system.events.filter(({ event }) => event === 'key.address-mismatch')).toEqual([
      expect.objectContaining({
        principal: addressOf('carol'),
        certificateAddresses: 'carol@former.test',
        loginAddresses: addressOf('carol'),
      }),
    ]);
  });

  it('at mapping: `sealgate keys list` says it to the administrator, before any mail', async () => {
    const { stdout } = await runToEnd(process.execPath, [
      'src/main.ts',
      ...['keys', 'list', '--config', system.configFile],
    ]);
    const lines = stdout.toString();
    expect(lines).toContain('carol@former.test');
    expect(lines).toMatch(
      new RegExp(
        `carol@former\\.test.*${addressOf('carol')}|${addressOf('carol')}.*carol@former\\.test`,
        's',
      ),
    );
  });
});
