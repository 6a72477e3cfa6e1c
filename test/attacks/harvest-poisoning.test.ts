import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { shownOf } from './support/mailbox.ts';
import {
  encrypted,
  forgeCertificate,
  mailOf,
  signed,
  textEntity,
  userExtensions,
} from './support/openssl-mail.ts';

/**
 * Whoever brings alice's gateway to take his certificate for bob's reads her next mail to bob. So every way in which a
 * certificate can come by mail is tried, each against a gateway that has learned nothing yet.
 */

type Signer = { certificateFile: string; keyFile: string };

let system: MailSystem;
let folder: string;
let count = 0;
const ALICE = addressOf('alice');
const SECRET = 'The boathouse key is under the third stone.';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-poison-'));
  system = await startMailSystem({ users: ['alice', 'bob', 'carol', 'dave', 'mallory'], pinned: ['dave'] });
});
afterAll(async () => {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => void count++);

const forge = (wish: Partial<Parameters<typeof forgeCertificate>[1]> & { extensions: readonly string[] }) =>
  forgeCertificate(folder, { name: `forged-${count}`, ...wish });

/** A signed mail from an address that alice reads: clear, opaque, and encrypted to her. */
async function aliceReads(from: string, signer: Signer): Promise<void> {
  const header = [`From: ${from}`, `To: ${ALICE}`, 'Subject: hi'];
  const clear = await signed(textEntity('hi'), signer);
  const opaque = await signed(textEntity('hi'), signer, { form: 'opaque' });
  const sealed = await encrypted(clear, [system.user('alice').identity]);
  for (const entity of [clear, opaque, sealed]) await shownOf(system, 'alice', mailOf(header, entity));
}

/** Whom alice's next mail to the address is encrypted to: whether the key opens it; null: it is not encrypted. */
async function opens(to: string, reader: Signer): Promise<boolean | null> {
  system.taken();
  await system.send('alice', { to, subject: 'x', text: SECRET });
  const [mail] = system.taken();
  const octets = mail?.octets ?? Buffer.alloc(0);
  if (!/enveloped-data/i.test(octets.toString('latin1'))) return null;
  expect(octets.includes('boathouse')).toBe(false);
  const key = ['-recip', reader.certificateFile, '-inkey', reader.keyFile];
  const { stdout, failure } = await runToEnd('openssl', ['cms', '-decrypt', ...key], { input: octets });
  return failure === null && stdout.includes('boathouse');
}

describe('a stranger’s certificate', () => {
  it('that he made for bob himself is not used, and bob’s own replaces it', async () => {
    const forged = await forge({ extensions: userExtensions(addressOf('bob')) });
    await aliceReads(addressOf('bob'), forged);
    expect(await opens(addressOf('bob'), forged)).toBeNull();
    await aliceReads(addressOf('bob'), system.user('bob').identity);
    expect(await opens(addressOf('bob'), forged)).toBe(false);
    expect(await opens(addressOf('bob'), system.user('bob').identity)).toBe(true);
  });

  it('that he made later, newer and longer valid than bob’s own, does not come into use', async () => {
    const { bob } = { bob: system.user('bob').identity };
    await aliceReads(addressOf('bob'), bob);
    const forged = await forge({
      extensions: userExtensions(addressOf('bob')),
      validity: { from: '20260101000000Z', to: '20490101000000Z' },
    });
    await aliceReads(addressOf('bob'), forged);
    expect(await opens(addressOf('bob'), forged)).toBe(false);
    expect(await opens(addressOf('bob'), bob)).toBe(true);
  });

  it('of a name and serial number like bob’s does not come into use', async () => {
    const issuer = await forge({
      name: 'Sealgate throwaway CA',
      extensions: ['basicConstraints = critical, CA:TRUE', 'keyUsage = critical, keyCertSign'],
    });
    const forged = await forge({ name: 'bob', extensions: userExtensions(addressOf('bob')), issuer });
    await aliceReads(addressOf('bob'), forged);
    expect(await opens(addressOf('bob'), forged)).toBe(false);
  });
});

describe('a certificate of the trusted authority', () => {
  it('for mallory does nothing for bob’s address, whatever From, Sender or Reply-To say', async () => {
    const mallory = system.user('mallory').identity;
    const bob = addressOf('carol');
    for (const from of [bob, `"${bob}" <${addressOf('mallory')}>`, `${bob}, ${addressOf('mallory')}`]) {
      await aliceReads(from, mallory);
    }
    const header = [`From: ${addressOf('mallory')}`, `Sender: ${bob}`, `Reply-To: ${bob}`, `To: ${ALICE}`];
    await shownOf(system, 'alice', mailOf(header, await signed(textEntity('x'), mallory)));
    expect(await opens(bob, mallory)).toBeNull();
  });

  it('that names mallory and carol is taken for the one in From alone', async () => {
    const several = await forge({
      extensions: userExtensions(addressOf('mallory'), addressOf('carol')),
      issuer: system.pki.ca,
    });
    await aliceReads(addressOf('mallory'), several);
    expect(await opens(addressOf('mallory'), several)).toBe(true);
    expect(await opens(addressOf('carol'), several)).toBeNull();
  });

  it('a second one for bob by the same authority is what the authority says: it is used', async () => {
    const renewed = await forge({ extensions: userExtensions(addressOf('bob')), issuer: system.pki.ca });
    await aliceReads(addressOf('bob'), system.user('bob').identity);
    await aliceReads(addressOf('bob'), renewed);
    expect(await opens(addressOf('bob'), renewed)).toBe(true);
  });
});

describe('a pinned certificate', () => {
  it('never changes by a mail, not even by its own authority’s', async () => {
    const renewed = await forge({ extensions: userExtensions(addressOf('dave')), issuer: system.pki.ca });
    await aliceReads(addressOf('dave'), renewed);
    expect(await opens(addressOf('dave'), renewed)).toBe(false);
    expect(await opens(addressOf('dave'), system.user('dave').identity)).toBe(true);
    expect(system.events).toContainEqual(expect.objectContaining({ event: 'directory.change-pending' }));
  });
});

describe('what comes with a mail and signs nothing of it', () => {
  it('certificates that only lie in it are not taken', async () => {
    const forged = await forge({ extensions: userExtensions(addressOf('carol')), issuer: system.pki.ca });
    const mallory = system.user('mallory').identity;
    const header = [`From: ${addressOf('carol')}`, `To: ${ALICE}`, 'Subject: hi'];
    const more = ['-certfile', forged.certificateFile];
    for (const form of ['clear', 'opaque'] as const) {
      const entity = await signed(textEntity('hi'), mallory, { form, more });
      await shownOf(system, 'alice', mailOf(header, entity));
      await shownOf(system, 'alice', mailOf([`From: ${addressOf('mallory')}`, ...header.slice(1)], entity));
    }
    expect(await opens(addressOf('carol'), forged)).toBeNull();
  });

  it('a signature that does not fit its mail teaches nothing', async () => {
    const carol = system.user('carol').identity;
    const genuine = (await signed(textEntity('hi there'), carol)).toString('latin1');
    const changed = Buffer.from(genuine.replace('hi there', 'hi where'), 'latin1');
    await shownOf(system, 'alice', mailOf([`From: ${addressOf('carol')}`, `To: ${ALICE}`], changed));
    expect(await opens(addressOf('carol'), carol)).toBeNull();
  });

  it('a flood of forged certificates does not keep carol’s own out', async () => {
    for (let i = 0; i < 25; i++) {
      const forged = await forge({ name: `flood-${i}`, extensions: userExtensions(addressOf('carol')) });
      const entity = await signed(textEntity('hi'), forged, { form: 'opaque' });
      await shownOf(system, 'alice', mailOf([`From: ${addressOf('carol')}`, `To: ${ALICE}`], entity));
    }
    await aliceReads(addressOf('carol'), system.user('carol').identity);
    expect(await opens(addressOf('carol'), system.user('carol').identity)).toBe(true);
  });
});
