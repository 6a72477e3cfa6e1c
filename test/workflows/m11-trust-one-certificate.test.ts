import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createThrowawayPki, type UserIdentity } from '../../src/evaluation/throwaway-pki.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { eventually } from '../support/eventually.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { aliceGets, found, signedBy } from './support/from-elsewhere.ts';

/**
 * M11: one certificate is trusted explicitly. By hand it is a box to tick in a list that nobody looks at again; here it is a decision
 * with a reason and a name, which is shown wherever something rests on it, and which can be taken back.
 */

const ENTITY = 'Content-Type: text/plain\r\n\r\nthe harbour at seven\r\n';
const BOB = addressOf('bob');

let system: MailSystem;
/** By authorities that are no anchors here. */
let bob: UserIdentity;
let carol: UserIdentity;

beforeAll(async () => {
  system = await startMailSystem({ users: ['alice', 'bob'], withoutKeys: ['bob'] });
  const elsewhere = await createThrowawayPki(join(system.folder, 'elsewhere'));
  bob = await elsewhere.issueUser({ address: BOB, name: 'bob' });
  carol = await elsewhere.issueUser({ address: addressOf('carol'), name: 'carol' });
});
afterAll(() => system?.stop());

async function cert(...args: readonly string[]): Promise<string> {
  const { code, out, error } = await runSealgate(['cert', ...args, '--config', system.configFile], {
    cache: join(system.folder, 'compiled'),
  });
  expect(error).toBe('');
  expect(code).toBe(0);
  return out;
}

type Why = {
  certificates: {
    fingerprint: string;
    encryption: { used: boolean; because: string };
    signatures: { trusted: boolean; because: string };
  }[];
};
async function why(): Promise<Why['certificates'][number]> {
  const { certificates } = JSON.parse(await cert('why', BOB, '--json')) as Why;
  const [one] = certificates;
  if (one === undefined || certificates.length > 1) throw new Error('one certificate of bob is expected');
  return one;
}

/** A new mail: what was shown of an old one stays. The gateway follows a decision within two seconds. */
async function verdictOnNewMail(by: UserIdentity, verdict: string): Promise<Buffer> {
  const secured = await signedBy(by, ENTITY);
  return await eventually(async () => {
    const mail = await aliceGets(system, secured, by.address);
    expect(found(mail)).toContain(`verdict=${verdict}`);
    return mail;
  }, 100);
}

async function sentToBob(): Promise<string> {
  await system.send('alice', { to: BOB, subject: 'answer', text: 'the boathouse key' });
  return system.taken().at(-1)?.octets.toString('latin1') ?? '';
}

describe('M11: one certificate is trusted explicitly', () => {
  it('before: a good signature by an unknown authority is not trusted, and nothing is encrypted to it', async () => {
    const mail = await verdictOnNewMail(bob, 'untrusted');
    expect(found(mail)).toMatch(/sig=good; .*path=invalid/);
    expect(await sentToBob()).toContain('the boathouse key');
    const { encryption, signatures } = await why();
    expect(signatures.trusted).toBe(false);
    expect(encryption.because).toContain('harvested');
    expect(await cert('why', BOB)).toMatch(/sealgate cert trust [0-9a-f]{64} --reason/);
  });

  it('trusted by a person: new mail is, mail to him is encrypted, and `why` names the person and the reason', async () => {
    const { fingerprint } = await why();
    const said = await cert('trust', fingerprint, '--reason', 'compared by telephone', '--by', 'Dana');
    expect(said).toContain(BOB);
    const mail = await verdictOnNewMail(bob, 'trusted');
    expect(found(mail)).toContain('path=invalid');
    const sent = await sentToBob();
    expect(sent).not.toContain('the boathouse key');
    expect(sent).toContain('application/pkcs7-mime');
    const { signatures, encryption } = await why();
    expect(signatures).toMatchObject({ trusted: true, because: expect.stringContaining('A person') });
    expect(encryption.used).toBe(true);
    const text = await cert('why', BOB);
    expect(text).toContain('compared by telephone');
    expect(text).toContain('Dana');
  });

  it('it is that certificate alone: another one of the same authority is not trusted', async () => {
    await verdictOnNewMail(carol, 'untrusted');
  });

  it('taken back: as before, and both stay in the journal', async () => {
    const number = /journal +(\d+): trust by Dana/.exec(await cert('why', BOB))?.[1] ?? 'none';
    await cert('undo', number, '--reason', 'she has a new one', '--by', 'Dana');
    await verdictOnNewMail(bob, 'untrusted');
    expect(await sentToBob()).toContain('the boathouse key');
    const text = await cert('why', BOB);
    expect(text).toContain('compared by telephone');
    expect(text).toContain('she has a new one');
  });
});
