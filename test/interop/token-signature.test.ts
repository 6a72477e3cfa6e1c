import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressOf, type MailSystem, opensslVerify, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { SoftHsm } from '../support/services/softhsm.ts';

describe('a signature made by a SoftHSM2 key', () => {
  let token: Started<SoftHsm>;
  let system: MailSystem;

  beforeAll(async () => {
    token = await services.softhsm();
    system = await startMailSystem({
      users: ['alice', 'bob'],
      async keys({ pki, folder }) {
        await token.generateKey(pki, { address: addressOf('alice') });
        await token.generateKey(pki, { address: addressOf('bob'), type: 'p-256' });
        const pin = join(folder, 'token.pin');
        await writeFile(pin, token.pin, { mode: 0o600 });
        const source = { kind: 'pkcs11', module: token.module, token: token.tokenLabel, pin: { file: pin } };
        return [{ name: 'hsm', ...source, environment: token.env }];
      },
      keyOf: (name) => `hsm/${addressOf(name)}`,
    });
  });
  afterAll(async () => {
    await system?.stop();
    await token?.stop();
  });

  it.each(['alice', 'bob'])('is good for OpenSSL (%s)', async (name) => {
    system.taken();
    await system.send(name, {
      to: addressOf(name === 'alice' ? 'bob' : 'alice'),
      subject: 'token',
      text: 'signed inside',
    });
    const [mail] = system.taken();
    expect((await opensslVerify(system, mail?.octets ?? Buffer.alloc(0))).toString()).toContain(
      'signed inside',
    );
  });

  it('never had its key outside the token: the token itself says so', async () => {
    const objects = await token.listObjects();
    const privateKeys = objects
      .split(/(?=^\S.*Object;)/m)
      .filter((text) => text.startsWith('Private Key Object'));
    expect(privateKeys).toHaveLength(2);
    for (const key of privateKeys)
      expect(key).toMatch(/Access:.*sensitive.*always sensitive.*never extractable.*local/);
  });

  it('leaves an audit line that names login, key and mail', () => {
    const uses = system.events.filter((event) => event.event === 'key.used');
    expect(uses).toContainEqual(
      expect.objectContaining({ principal: addressOf('alice'), operation: 'sign', outcome: 'done' }),
    );
  });
});
