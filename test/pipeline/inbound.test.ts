import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { newSessionId } from '../../src/ids.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import type { OpenOutcome } from '../../src/pipeline/ports.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { principalNamed } from '../support/principal.ts';
import { type Person, Town } from './support/people.ts';
import { away, FakeDirectory, FakeKeyring, FakeLog, mail } from './support/ports.ts';

const [ALICE, BOB, CAROL] = ['alice@example.org', 'bob@example.org', 'carol@example.org'];
const HEADER = [`From: ${ALICE}`, `To: ${BOB}`, 'Subject: to be read'];
const ENTITY = 'Content-Type: text/plain\r\n\r\nthe boathouse key\r\n';

let town: Town;
let alice: Person;
let bob: Person;
let carol: Person;
beforeAll(async () => {
  town = await Town.found();
  [alice, bob, carol] = (await Promise.all(
    [ALICE, BOB, CAROL].map((address) => town.person(address, { keyType: 'rsa-2048' })),
  )) as [Person, Person, Person];
});
afterAll(() => town?.end());

let keyring: FakeKeyring;
let directory: FakeDirectory;
let anchors: Certificate[];
let now: Date;
beforeEach(() => {
  keyring = new FakeKeyring([alice, bob, carol]);
  directory = new FakeDirectory();
  anchors = [town.anchor];
  now = new Date();
});

function read(octets: Buffer, login = BOB): Promise<OpenOutcome> {
  const story = inboundStory({
    ...{ keyring, directory, anchors, intermediates: [] },
    ...{ clock: () => now, log: new FakeLog() },
  });
  return story.open({ session: newSessionId(), principal: principalNamed(login), octets });
}

function signed(header: readonly string[] = HEADER, ...args: readonly string[]): Promise<Buffer> {
  const { certificateFile, keyFile } = alice.files;
  return town.made(header, ENTITY, '-sign', '-signer', certificateFile, '-inkey', keyFile, ...args);
}

function encryptedTo(person: Person, entity = ENTITY, ...args: readonly string[]): Promise<Buffer> {
  return town.made(HEADER, entity, '-encrypt', '-aes-256-cbc', ...args, person.files.certificateFile);
}

async function signedAndEncrypted(): Promise<Buffer> {
  return encryptedTo(bob, (await signed([])).toString('latin1').trimStart());
}

describe('reading a mail', () => {
  it('that is signed and encrypted opens with the reader’s key and is trusted', async () => {
    const outcome = await read(await signedAndEncrypted());
    expect(outcome).toMatchObject({ kind: 'opened', verdict: { kind: 'trusted' } });
    if (outcome.kind !== 'opened') throw new Error(outcome.kind);
    expect(outcome.entity.toString()).toContain('the boathouse key');
    expect(outcome.report.layers.map(({ kind }) => kind)).toEqual(['encrypted', 'signed']);
  });

  it('that is only encrypted is unsigned', async () => {
    expect(await read(await encryptedTo(bob))).toMatchObject({
      kind: 'opened',
      verdict: { kind: 'unsigned' },
    });
    expect(directory.harvested).toEqual([]);
  });

  it('that is plain is shown as it is, without a report, and asks for no key', async () => {
    expect(await read(mail(HEADER))).toEqual({ kind: 'as-is', report: null });
    expect(keyring.askedFor).toEqual([]);
  });

  it('that is clear-signed is shown as it is, with a report, and asks for no key', async () => {
    const outcome = await read(await signed());
    expect(outcome).toMatchObject({ kind: 'as-is', report: { layers: [{ kind: 'signed' }] } });
    expect(keyring.askedFor).toEqual([]);
  });

  it('that is signed by somebody unknown is untrusted, with the reason', async () => {
    anchors = [];
    expect(await read(await signed(HEADER, '-nodetach'))).toMatchObject({
      kind: 'opened',
      verdict: { kind: 'untrusted', why: expect.stringContaining('does not trust') },
    });
  });

  it('that is signed by another than From is untrusted', async () => {
    expect(await read(await signed([`From: ${CAROL}`], '-nodetach'))).toMatchObject({
      verdict: { kind: 'untrusted', why: expect.stringContaining(ALICE) },
    });
  });

  it('that is signed with SHA-1 is not trusted', async () => {
    expect(await read(await signed(HEADER, '-nodetach', '-md', 'sha1'))).toMatchObject({
      kind: 'opened',
      verdict: { kind: 'untrusted', why: expect.stringContaining('SHA-1') },
    });
  });

  it('whose signed words were changed inside is broken', async () => {
    const inner = (await signed([])).toString('latin1').trimStart().replace('boathouse', 'lighthouse');
    expect(await read(await encryptedTo(bob, inner))).toMatchObject({ verdict: { kind: 'broken' } });
    expect(directory.harvested).toEqual([]);
  });
});

describe('keys', () => {
  it('of another principal are never used: to him it is encrypted to somebody else', async () => {
    const octets = await encryptedTo(bob);
    expect((await read(octets, CAROL)).kind).toBe('no-key');
    expect(keyring.askedFor).toEqual([CAROL]);
  });

  it.each(['', 'bob', 'BOB@example.org', 'bob@example.org '])('of bob are not those of %j', async (login) => {
    expect((await read(await encryptedTo(bob), login)).kind).toBe('no-key');
  });

  it('that are away for now: nothing is shown, and it says so', async () => {
    keyring.decryptionTrouble = away();
    expect(await read(await signedAndEncrypted())).toEqual({
      kind: 'unavailable',
      publicText: 'The token is not there.',
    });
    expect(directory.harvested).toEqual([]);
  });

  it('that go away while they decrypt: nothing is shown either', async () => {
    const [key] = await keyring.decryptionKeys(principalNamed(BOB));
    if (key === undefined) throw new Error('no key');
    keyring.decryptionKeys = async () => [{ ...key, decryptKey: () => Promise.reject(away()) }];
    expect((await read(await signedAndEncrypted())).kind).toBe('unavailable');
  });

  it('that are away do not keep mail from being read that needs none', async () => {
    keyring.decryptionTrouble = away();
    expect((await read(await signed(HEADER, '-nodetach'))).kind).toBe('opened');
  });

  it('with a defect: it is thrown, and nothing is made up in its place', async () => {
    keyring.decryptionTrouble = new TypeError('oops');
    await expect(read(await encryptedTo(bob))).rejects.toThrow(TypeError);
  });

  it('that fail for good are thrown as they are', async () => {
    const details = { code: 'key.gone', duration: 'permanent', publicText: 'No such key.' } as const;
    keyring.decryptionTrouble = new SealgateError(details);
    await expect(read(await encryptedTo(bob))).rejects.toThrow('No such key.');
  });
});

describe('damage', () => {
  it('tells nothing apart: damage to the key, to the content and to its authentication are the same', async () => {
    const octets = await town.made(HEADER, ENTITY, '-encrypt', '-aes-256-gcm', bob.files.certificateFile);
    const [head = '', body = ''] = octets.toString('latin1').split('\r\n\r\n');
    const cms = Buffer.from(body, 'base64');
    const outcomes: OpenOutcome[] = [];
    for (const at of [cms.length - 1, cms.length - 40, cms.indexOf(bob.certificate.serialNumber) + 60]) {
      const damaged = Buffer.from(cms);
      damaged[at] = (damaged[at] ?? 0) ^ 0xff;
      const lines = damaged.toString('base64').replace(/(.{76})/g, '$1\r\n');
      outcomes.push(await read(Buffer.from(`${head}\r\n\r\n${lines}\r\n`, 'latin1')));
    }
    for (const outcome of outcomes) {
      expect(outcome).not.toHaveProperty('entity');
      expect(outcome).toEqual(outcomes[0]);
    }
    expect(outcomes[0]?.kind).toBe('failed');
  });

  it.each([
    ['no octets', Buffer.alloc(0)],
    ['no CMS', mail([...HEADER, 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data'])],
    ['a header beyond the bounds', mail([...HEADER, `X: ${'a'.repeat(300_000)}`])],
  ])('is an outcome and no exception: %s', async (_, octets) => {
    expect((await read(octets)).kind).toMatch(/^(as-is|failed)$/);
  });
});

describe('what is learned from reading', () => {
  it('is the signer’s certificate for From, verified where there is a path', async () => {
    await read(await signed());
    expect(directory.harvested).toMatchObject([{ address: ALICE, trust: 'verified' }]);
    expect(directory.harvested[0]?.certificate.fingerprint).toBe(alice.certificate.fingerprint);
    expect(directory.harvested[0]?.signedAt).toBeInstanceOf(Date);
  });

  it('also from inside an encrypted mail', async () => {
    await read(await signedAndEncrypted());
    expect(directory.harvested).toMatchObject([{ address: ALICE, trust: 'verified' }]);
  });

  it('is nothing, and the mail is still shown, when the directory is away', async () => {
    for (const trouble of [away('directory.unavailable'), new TypeError('oops')]) {
      directory.trouble = trouble;
      expect(await read(await signedAndEncrypted())).toMatchObject({
        kind: 'opened',
        verdict: { kind: 'trusted' },
      });
    }
  });
});
