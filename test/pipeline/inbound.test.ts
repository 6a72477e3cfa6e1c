import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import type { Patience, SignerDecisions } from '../../src/pipeline/ports.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { type AnchorScope, TrustAnchors } from '../../src/pki/trust-anchors.ts';
import { principalNamed } from '../support/principal.ts';
import { type BufferedOutcome, buffered } from './support/buffered.ts';
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
let anchors: Certificate[] | TrustAnchors;
let now: Date;
let decisions: SignerDecisions | null;
beforeEach(() => {
  decisions = null;
  keyring = new FakeKeyring([alice, bob, carol]);
  directory = new FakeDirectory();
  anchors = [town.anchor];
  now = new Date();
});

function read(octets: Buffer, login = BOB, patience?: Patience): Promise<BufferedOutcome> {
  const story = inboundStory({
    ...(decisions === null ? {} : { decisions }),
    ...{ keyring, directory, anchors, intermediates: [] },
    ...{ clock: () => now, log: new FakeLog() },
  });
  const opening = story.open({
    ...{ session: newSessionId(), principal: principalNamed(login), octets: bufferSource(octets) },
    ...(patience === undefined ? {} : { patience }),
  });
  return buffered(opening);
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
      key: true,
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

  it.each(['key.pin-incorrect', 'key.pin-locked', 'key.gone'])(
    'whose failure lasts until somebody does something (%s): the mail is not damaged, and nothing is final',
    async (code) => {
      const publicText = 'The PIN was wrong; two tries are left.';
      keyring.decryptionTrouble = new SealgateError({ code, duration: 'permanent', publicText });
      expect(await read(await encryptedTo(bob))).toEqual({ kind: 'unavailable', key: true, publicText });
    },
  );

  it('on a token that was never there may fit: nothing is final, learnt or judged', async () => {
    keyring.unseenText = 'The token of your keys was never there. Insert it once.';
    const octets = await encryptedTo(alice, (await signed([])).toString('latin1').trimStart());
    const publicText = keyring.unseenText;
    expect(await read(octets)).toEqual({ kind: 'unavailable', key: true, publicText });
    keyring.unseenText = null;
    expect((await read(octets)).kind).toBe('no-key');
    expect(directory.harvested).toEqual([]);
  });

  it('that are there open a mail although others were never seen', async () => {
    keyring.unseenText = 'The token of your keys was never there. Insert it once.';
    expect((await read(await signedAndEncrypted())).kind).toBe('opened');
    expect((await read(await signed(HEADER, '-nodetach'))).kind).toBe('opened');
  });
});

describe('a PIN that somebody has to type', () => {
  let began: (() => void) | null;
  let patience: Patience & { end(): void };
  beforeEach(() => {
    const controller = new AbortController();
    patience = { signal: controller.signal, exhausted: new Map(), end: () => controller.abort() };
  });

  /** Bob's key as one on a card whose PIN nobody types; `answer` is what it says at last. */
  async function onCard(
    answer: () => Promise<Buffer> = () => new Promise(() => undefined),
  ): Promise<{ asked: number }> {
    const [key] = await keyring.decryptionKeys(principalNamed(BOB));
    if (key === undefined) throw new Error('no key');
    const counter = { asked: 0 };
    const decryptKey = (): Promise<Buffer> => {
      counter.asked++;
      began?.();
      return answer();
    };
    keyring.decryptionKeys = async () => [{ ...key, decryptKey }];
    return counter;
  }

  const asked = () =>
    new Promise<void>((resolve) => {
      began = resolve;
    });

  it('is not waited for when nobody wants the mail any more', async () => {
    await onCard();
    const waiting = asked();
    const reading = read(await encryptedTo(bob), BOB, patience);
    await waiting;
    patience.end();
    expect(await reading).toMatchObject({ kind: 'unavailable', key: true });
  });

  it('is not asked for at all when nobody wants the mail', async () => {
    const key = await onCard();
    patience.end();
    expect(await read(await encryptedTo(bob), BOB, patience)).toMatchObject({ kind: 'unavailable' });
    expect(key.asked).toBe(0);
  });

  it('that was waited for in vain is not waited for again for the next mail of the same command', async () => {
    const key = await onCard(async () => {
      now = new Date(now.getTime() + 60_000);
      throw away('key.unavailable', 'Nobody typed the PIN.');
    });
    const octets = await encryptedTo(bob);
    for (let mails = 0; mails < 3; mails++) {
      const outcome = await read(octets, BOB, patience);
      expect(outcome).toEqual({ kind: 'unavailable', key: true, publicText: 'Nobody typed the PIN.' });
    }
    expect(key.asked).toBe(1);
  });

  it('that somebody did not want to type is not asked for again in the same command', async () => {
    const key = await onCard(() => Promise.reject(away('key.pin-needed', 'The PIN was not typed.')));
    const octets = await encryptedTo(bob);
    for (let mails = 0; mails < 2; mails++) await read(octets, BOB, patience);
    expect(key.asked).toBe(1);
    patience.exhausted.clear();
    await read(octets, BOB, patience);
    expect(key.asked).toBe(2);
  });

  it('is not asked for by whoever takes only keys that are open, and those serve him', async () => {
    const key = await onCard(async () => Buffer.alloc(32));
    const [onIt] = await keyring.decryptionKeys(principalNamed(BOB));
    if (onIt === undefined) throw new Error('no key');
    keyring.decryptionKeys = async () => [{ ...onIt, isOpen: false }];
    patience.openKeysOnly = true;
    const octets = await encryptedTo(bob);
    expect(await read(octets, BOB, patience)).toMatchObject({ kind: 'unavailable', key: true });
    expect(key.asked).toBe(0);
    keyring.decryptionKeys = async () => [{ ...onIt, isOpen: true }];
    await read(octets, BOB, patience);
    expect(key.asked).toBe(1);
  });

  it('is asked for again where the key only was away for a moment', async () => {
    const key = await onCard(() => Promise.reject(away()));
    const octets = await encryptedTo(bob);
    for (let mails = 0; mails < 2; mails++) await read(octets, BOB, patience);
    expect(key.asked).toBe(2);
  });
});

describe('damage', () => {
  it('tells nothing apart: damage to the key, to the content and to its authentication are the same', async () => {
    const octets = await town.made(HEADER, ENTITY, '-encrypt', '-aes-256-gcm', bob.files.certificateFile);
    const [head = '', body = ''] = octets.toString('latin1').split('\r\n\r\n');
    const cms = Buffer.from(body, 'base64');
    const outcomes: BufferedOutcome[] = [];
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

describe('an anchor that is believed for some things only', () => {
  const believed = (purposes: ('signing' | 'encryption')[], domains: string[] | null) => {
    const scope: AnchorScope = { certificates: [town.anchor], purposes: new Set(purposes), domains };
    return new TrustAnchors([scope]);
  };

  it.each([
    [['signing', 'encryption'], null, 'trusted', 'verified'],
    [['signing', 'encryption'], ['example.org'], 'trusted', 'verified'],
    [['signing', 'encryption'], ['*.example.org', 'example.net'], 'untrusted', 'harvested'],
    [['signing'], ['example.org'], 'trusted', 'harvested'],
    [['encryption'], null, 'untrusted', 'harvested'],
  ] as const)('for %j of %j: the mail is %s, its certificate %s', async (purposes, domains, kind, trust) => {
    anchors = believed([...purposes], domains === null ? null : [...domains]);
    expect(await read(await signed())).toMatchObject({ verdict: { kind } });
    expect(directory.harvested).toMatchObject([{ trust }]);
  });

  it('says nothing for a mail that is from nobody in particular', async () => {
    anchors = believed(['signing', 'encryption'], ['example.org']);
    const header = [`From: ${ALICE}, ${BOB}`, `To: ${BOB}`];
    expect(await read(await signed(header))).toMatchObject({ verdict: { kind: 'untrusted' } });
  });
});

describe('what a person said of the signer', () => {
  const said = (decision: 'trusted' | 'distrusted'): SignerDecisions => ({
    of: async (fingerprint) =>
      fingerprint === alice.certificate.fingerprint
        ? { decision, reason: 'met', by: 'carol', at: new Date(0) }
        : null,
  });

  it('counts whatever the path says', async () => {
    decisions = said('distrusted');
    expect(await read(await signed())).toMatchObject({ verdict: { kind: 'untrusted' } });
    anchors = [];
    expect(await read(await signed())).toMatchObject({ verdict: { kind: 'untrusted' } });
    decisions = said('trusted');
    expect(await read(await signed())).toMatchObject({ verdict: { kind: 'trusted' } });
  });

  it('is waited for where nobody can say it: signed mail is refused for now, other mail opens', async () => {
    decisions = { of: () => Promise.reject(away('directory.unavailable')) };
    expect(await read(await signedAndEncrypted())).toMatchObject({ kind: 'unavailable', key: false });
    expect(await read(await encryptedTo(bob))).toMatchObject({ kind: 'opened' });
  });
});
