import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { Loopback } from '../revocation/support/loopback.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { crlOf } from './support/crl-of.ts';
import { aliceGets, found, signedBy } from './support/from-elsewhere.ts';

/**
 * M19: a signature shows a problem although the certificate is valid, because the mail program cannot look at the revocation list.
 * The gateway looks in its place, and says in words what it found.
 */

const ENTITY = 'Content-Type: text/plain\r\n\r\nthe harbour at seven\r\n';

let server: Loopback;
let system: MailSystem;

beforeAll(async () => {
  server = await Loopback.start();
  system = await startMailSystem({
    users: ['alice', 'bob'],
    crl: server.url('/nowhere.crl'),
    revocation: { failure: 'hard', allowAddresses: ['127.0.0.1'], allowPorts: [server.port] },
  });
});
afterAll(async () => {
  await system?.stop();
  await server?.close();
});

/** A mail program that is strict, and does not get at the list. */
function strictProgram(mail: Buffer): Promise<unknown> {
  const strict = ['-purpose', 'smimesign', '-crl_check', '-CAfile', system.pki.ca.certificateFile];
  return runProgram('openssl', ['cms', '-verify', ...strict], { input: mail });
}

async function why(address: string): Promise<string> {
  const { out } = await runSealgate(['cert', 'why', address, '--config', system.configFile], {
    cache: join(system.folder, 'compiled'),
  });
  return out.replace(/\s+/g, ' ');
}

describe('M19: a valid certificate whose revocation the mail program cannot check', () => {
  it('while the list is away: nothing is called trusted that is not known, and the reason is said in words', async () => {
    const mail = await aliceGets(system, await signedBy(system.user('bob').identity, ENTITY));
    expect(found(mail)).toMatch(/sig=good; .*path=valid; rev=unchecked/);
    expect(found(mail)).toContain('verdict=untrusted');
    expect(mail.toString()).toContain('the harbour at seven');
    const said = await why(addressOf('bob'));
    expect(said).toContain('could not be checked');
    expect(said).toContain(`127.0.0.1:${server.port}`);
    expect(said).toContain('404');
    expect(said).toContain('See whether the places that its authority names can be reached from here.');
  });

  it('the mail program finds a problem, the gateway finds none: it fetches the list itself', async () => {
    server.gives('/list.crl', await crlOf(system, []));
    const address = addressOf('carol');
    const carol = await system.pki.issueUser({ address, name: 'carol', crl: server.url('/list.crl') });
    await expect(strictProgram(await signedBy(carol, ENTITY, []))).rejects.toThrow(
      /unable to get certificate CRL/i,
    );
    const mail = await aliceGets(system, await signedBy(carol, ENTITY), address);
    expect(found(mail)).toMatch(/sig=good; .*path=valid; rev=good/);
    expect(found(mail)).toMatch(/smime=pass/);
    expect(found(mail)).toContain('verdict=trusted');
    expect(await why(address)).toContain('revocation good');
  });
});
