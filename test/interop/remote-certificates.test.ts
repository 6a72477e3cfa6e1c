import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/evaluation/free-port.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { smimeaName } from '../../src/pki/smimea-name.ts';
import { addressOf, type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { type NameServers, nameServers } from '../support/services/name-servers.ts';

/** A gateway that knows nobody's certificate, DNS that knows Bob's, and an HTTP store that knows Carol's. */
describe('correspondents whose certificates are in DNS and in an HTTP store', () => {
  let dns: Started<NameServers>;
  let system: MailSystem;
  let ofCarol: Buffer;
  const store = createServer((request, response) => {
    const isCarol = request.url === `/search?email=${encodeURIComponent(addressOf('carol'))}`;
    response.writeHead(isCarol ? 200 : 404, { 'content-type': 'application/pkix-cert' });
    response.end(isCarol ? ofCarol : 'nobody');
  });

  beforeAll(async () => {
    const port = await freePort();
    await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', () => resolve()));
    system = await startMailSystem({
      users: ['alice', 'bob', 'carol', 'dora'],
      directory: {
        sources: [
          { kind: 'smimea', name: 'dns', resolvers: [`127.0.0.1:${port}`], timeoutSeconds: 20 },
          {
            ...{ kind: 'http-store', name: 'store', timeoutSeconds: 20 },
            url: `http://127.0.0.1:${(store.address() as AddressInfo).port}/search`,
          },
        ],
        lookup: { failures: 1, retrySeconds: 3_600 },
      },
    });
    const derOf = async (who: string) =>
      new X509Certificate(await readFile(system.user(who).identity.certificateFile)).raw;
    ofCarol = await derOf('carol');
    const domain = addressOf('bob').split('@')[1] ?? '';
    const record = `${smimeaName(addressOf('bob'))}. IN SMIMEA 3 0 0 ${(await derOf('bob')).toString('hex')}`;
    dns = await nameServers(
      [
        { name: domain, dnssec: 'signed', records: [record] },
        { name: 'bogus.example', dnssec: 'bogus', records: [] },
      ],
      { port },
    );
  });
  afterAll(async () => {
    await system?.stop();
    await dns?.stop();
    await new Promise((resolve) => store.close(resolve));
  });

  const sealgate = async (...args: string[]) =>
    (
      await runProgram(process.execPath, ['src/main.ts', ...args, '--config', system.configFile])
    ).stdout.toString();

  it('get encrypted mail, the first one too', async () => {
    for (const [who, place] of [
      ['bob', 'DNS (SMIMEA) (now in dns)'],
      ['carol', 'an HTTP certificate store (now in store)'],
    ] as const) {
      await system.send('alice', { to: addressOf(who), subject: 'one', text: 'the boathouse key' });
      const [mail] = system.taken();
      expect(mail?.octets.toString()).not.toContain('boathouse');
      expect((await opensslOpen(system, mail?.octets ?? Buffer.alloc(0), who)).toString()).toContain(
        'boathouse',
      );
      expect(await sealgate('cert', 'why', addressOf(who))).toContain(`verified, current, from ${place}`);
    }
  });

  it('and a domain with wrong signatures takes nothing from others', async () => {
    expect(await sealgate('cert', 'lookup', 'x@bogus.example')).toMatch(
      /dns \(smimea\): NO ANSWER .*SERVFAIL/,
    );
    await system.send('alice', { to: addressOf('dora'), subject: 'two', text: 'open' });
    expect(system.taken()).toHaveLength(1);
  });
});
