import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { oid, sequence } from '../../src/asn1/writer.ts';
import { announcesOaep } from '../../src/cms/capabilities.ts';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { AddressAlgorithms } from '../../src/pipeline/address-algorithms.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import type { Keyring } from '../../src/pipeline/ports.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { type AlgorithmSettings, cautiousAlgorithms } from '../../src/smime/algorithm-choice.ts';
import { ownCapabilities } from '../../src/smime/capabilities.ts';
import { ecKey, extension, generalName, makeCertificate, subjectAltName } from '../pki/make-certificate.ts';
import { principalNamed } from '../support/principal.ts';
import { type LoadedKey, SoftwareKeys } from '../support/software-keys.ts';
import { type BufferedOutcome, buffered } from './support/buffered.ts';
import {
  FakeDelivered,
  FakeDirectory,
  FakeLog,
  FakeUpstream,
  mail,
  rule,
  submission,
} from './support/ports.ts';

/** From what readers have said to the octets they get, and back through our own reading. */

const [ALICE, BOB, CAROL] = ['alice@example.org', 'bob@example.org', 'carol@example.org'];
const WORDS = 'the boathouse key';
const OID = {
  oaep: '1.2.840.113549.1.1.7',
  pss: '1.2.840.113549.1.1.10',
  boundKey: '1.2.840.113549.1.9.16.3.31',
  kem: '1.2.840.113549.1.9.16.13.3',
} as const;

const careful = new SoftwareKeys();
const modern = new SoftwareKeys({ postQuantum: true });
afterAll(() => Promise.all([careful.close(), modern.close()]));

type Pair = { publicKey: KeyObject; privateKey: KeyObject };

function holder(address: string, key: Pair, ...extensions: Buffer[]): LoadedKey {
  const names = [subjectAltName(generalName.mailbox(address)), ...extensions];
  const certificate = makeCertificate({
    ...{ subject: address, issuer: 'CA', issuerKey: ecKey('ca'), key, extensions: names },
  });
  return { label: address, certificate, chain: [], privateKey: key.privateKey };
}

const rsaPair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const alice = holder(ALICE, rsaPair());
const bobsPair = rsaPair();
const bob = holder(BOB, bobsPair);
/** RFC 4262: it is in the certificate what Bob reads. */
const listed = sequence(...[OID.oaep, OID.pss, '2.16.840.1.101.3.4.1.46'].map((one) => sequence(oid(one))));
const telling = holder(BOB, bobsPair, extension('1.2.840.113549.1.9.15', listed));
const carol = holder(CAROL, rsaPair());

function ring(software: SoftwareKeys, ...loaded: readonly LoadedKey[]): Keyring {
  const of = (login: string) => loaded.filter(({ label }) => label === login);
  return {
    addressesOf: ({ login }) => [login],
    signingKeys: async ({ login }) => of(login).flatMap((one) => software.signingKey(one) ?? []),
    decryptionKeys: async ({ login }) => of(login).flatMap((one) => software.decryptionKey(one) ?? []),
    whyNoSigningKey: () => ({ reason: 'none', duration: 'permanent', publicText: 'There is none.' }),
    ownCertificates: ({ login }) => of(login).map(({ certificate }) => ({ certificate, readsOaep: true })),
    unseen: () => null,
  };
}

let directory: FakeDirectory;
let upstream: FakeUpstream;
beforeEach(() => {
  directory = new FakeDirectory();
  upstream = new FakeUpstream();
});

function knows({ label, certificate }: LoadedKey, capabilities: readonly string[] = []): void {
  const known = { certificate, trust: 'verified', capabilities, source: 'mail' } as const;
  directory.known.set(label, [...(directory.known.get(label) ?? []), known]);
}

async function send(
  to: readonly string[],
  settings: Partial<AlgorithmSettings> = {},
  changes: {
    sender?: readonly LoadedKey[];
    rule?: Partial<Rule>;
    blind?: readonly string[];
    profiles?: readonly AddressAlgorithms[];
  } = {},
): Promise<string> {
  const { sender = [alice], blind = [], profiles: addressAlgorithms = [] } = changes;
  const story = outboundStory({
    keyring: ring(settings.postQuantum === true ? modern : careful, ...sender),
    ...{ directory, delivered: new FakeDelivered(), rules: [rule(changes.rule)] },
    ...{ clock: () => new Date(), log: new FakeLog(), addressAlgorithms },
    algorithms: { ...cautiousAlgorithms, ...settings },
  });
  const octets = mail([`From: ${ALICE}`, `To: ${to.join(', ')}`, 'Subject: keys']);
  const { reply } = await story.submit(submission(ALICE, [...to, ...blind], octets), upstream);
  return `${reply.code} ${reply.lines.join(' ')}`;
}

/** What somebody with this key finds in the message that the address got. */
function open(address: string, key: LoadedKey): Promise<BufferedOutcome> {
  const story = inboundStory({
    keyring: ring(careful, key),
    ...{ directory: new FakeDirectory(), anchors: [], intermediates: [] },
    ...{ clock: () => new Date(), log: new FakeLog() },
  });
  const octets = upstream.messageFor(address);
  const request = { session: newSessionId(), principal: principalNamed(key.label) };
  return buffered(story.open({ ...request, octets: bufferSource(octets) }));
}

/** The CMS of the outermost layer. */
function cms(address: string): Buffer {
  const text = upstream.messageFor(address).toString('latin1');
  return Buffer.from(text.slice(text.indexOf('\r\n\r\n')), 'base64');
}

async function layers(address: string, key: LoadedKey): Promise<unknown[]> {
  const outcome = await open(address, key);
  if (outcome.kind !== 'opened') throw new Error(`it was ${outcome.kind}`);
  expect(outcome.entity.toString()).toContain(WORDS);
  return outcome.report.layers.flatMap((layer) => {
    if (layer.kind === 'encrypted') return [layer.algorithm];
    return layer.kind === 'signed' ? layer.signatures.map(({ algorithm }) => algorithm) : [];
  });
}

describe('RSA recipients', () => {
  it('of whom nothing is known get what every program reads', async () => {
    knows(bob);
    expect(await send([BOB])).toMatch(/^250 /);
    expect(cms(BOB).includes(oid(OID.oaep))).toBe(false);
    expect(await layers(BOB, bob)).toEqual(['aes256-cbc', 'rsa-pkcs1-sha256']);
  });

  it('who announce it get OAEP with SHA-256, GCM and a PSS signature', async () => {
    knows(bob, ownCapabilities);
    await send([BOB]);
    expect(cms(BOB).includes(oid(OID.oaep))).toBe(true);
    expect(await layers(BOB, bob)).toEqual(['aes256-gcm', 'rsa-pss-sha256']);
    expect(await layers(BOB, alice)).toEqual(['aes256-gcm', 'rsa-pss-sha256']);
  });

  it('whose certificate says so (RFC 4262) get the same, but a later mail counts more', async () => {
    knows(telling);
    await send([BOB]);
    expect(await layers(BOB, telling)).toEqual(['aes256-gcm', 'rsa-pss-sha256']);
    directory.known.clear();
    upstream = new FakeUpstream();
    knows(telling, ['2.16.840.1.101.3.4.1.2']);
    await send([BOB]);
    expect(cms(BOB).includes(oid(OID.oaep))).toBe(false);
    expect(await layers(BOB, telling)).toEqual(['aes128-cbc', 'rsa-pkcs1-sha256']);
  });

  it('of one message: OAEP for whom it is known, PSS and GCM only if it is known of all', async () => {
    knows(bob, ownCapabilities);
    knows(carol);
    await send([BOB, CAROL]);
    expect(cms(BOB).includes(oid(OID.oaep))).toBe(true);
    for (const key of [bob, carol]) {
      expect(await layers(BOB, key)).toEqual(['aes256-cbc', 'rsa-pkcs1-sha256']);
    }
  });

  it('of whom one has no certificate: the signature that goes in clear is one that all read', async () => {
    knows(bob, ownCapabilities);
    await send([BOB, CAROL], {}, { rule: { encrypt: 'never' } });
    expect(upstream.messageFor(CAROL).toString('latin1')).toContain('multipart/signed');
    const outcome = await open(CAROL, carol);
    expect(outcome).toMatchObject({
      report: { layers: [{ signatures: [{ algorithm: 'rsa-pkcs1-sha256', signature: 'good' }] }] },
    });
  });

  it('and a blind copy: each message is signed as its own readers need it', async () => {
    knows(bob, ownCapabilities);
    knows(carol);
    await send([BOB], {}, { blind: [CAROL] });
    expect(await layers(BOB, bob)).toEqual(['aes256-gcm', 'rsa-pss-sha256']);
    expect(await layers(CAROL, carol)).toEqual(['aes256-cbc', 'rsa-pkcs1-sha256']);
  });

  it('get what the settings say, whatever they announce', async () => {
    knows(bob);
    await send([BOB], { rsaSignature: 'pss', rsaKeyTransport: 'oaep' });
    expect(cms(BOB).includes(oid(OID.oaep))).toBe(true);
    expect(await layers(BOB, bob)).toEqual(['aes256-cbc', 'rsa-pss-sha256']);
    directory.known.clear();
    upstream = new FakeUpstream();
    knows(bob, ownCapabilities);
    await send([BOB], { rsaSignature: 'pkcs1', rsaKeyTransport: 'pkcs1' });
    expect(cms(BOB).includes(oid(OID.oaep))).toBe(false);
    expect(await layers(BOB, bob)).toEqual(['aes256-gcm', 'rsa-pkcs1-sha256']);
  });

  it('get what the profile of the sender’s address pins, and the settings where it pins nothing', async () => {
    const pinned = { login: ALICE, address: ALICE.toUpperCase().replace('ALICE', 'alice') };
    knows(bob);
    await send([BOB], {}, { profiles: [{ ...pinned, rsaSignature: 'pss', rsaKeyTransport: null }] });
    expect(cms(BOB).includes(oid(OID.oaep))).toBe(false);
    expect(await layers(BOB, bob)).toEqual(['aes256-cbc', 'rsa-pss-sha256']);
  });

  it.each([
    ['another login', { login: 'bob', address: ALICE }],
    ['another address', { login: ALICE, address: BOB }],
    ['no address at all', { login: ALICE, address: '' }],
  ])('get nothing of a profile of %s', async (_, whose) => {
    knows(bob);
    await send([BOB], {}, { profiles: [{ ...whose, rsaSignature: 'pss', rsaKeyTransport: 'oaep' }] });
    expect(await layers(BOB, bob)).toEqual(['aes256-cbc', 'rsa-pkcs1-sha256']);
  });
});

it('a sender whose token cannot do OAEP does not announce it', async () => {
  knows(bob);
  const withToken = ring(careful, alice);
  const keyring: Keyring = {
    ...withToken,
    ownCertificates: (principal, address) =>
      withToken.ownCertificates(principal, address).map((own) => ({ ...own, readsOaep: false })),
  };
  const announced = async (keys: Keyring) => {
    directory.harvested.length = 0;
    const parts = { directory, delivered: new FakeDelivered(), rules: [rule({ encrypt: 'never' })] };
    const story = outboundStory({ ...parts, keyring: keys, clock: () => new Date(), log: new FakeLog() });
    const octets = mail([`From: ${ALICE}`, `To: ${BOB}`, 'Subject: keys']);
    upstream = new FakeUpstream();
    await story.submit(submission(ALICE, [BOB], octets), upstream);
    const outcome = await open(BOB, bob);
    const [layer] = outcome.kind === 'as-is' ? (outcome.report?.layers ?? []) : [];
    return layer?.kind === 'signed' ? layer.signatures.flatMap(({ capabilities }) => capabilities) : [];
  };
  expect(announcesOaep(await announced(withToken))).toBe(true);
  const careless = await announced(keyring);
  expect(careless).toContain('2.16.840.1.101.3.4.1.46');
  expect(announcesOaep(careless)).toBe(false);
});

describe('content keys bound to their algorithm (RFC 9709)', () => {
  it('are for a setting and readers who all announce them', async () => {
    knows(bob, ownCapabilities);
    await send([BOB], { boundContentKeys: true });
    expect(cms(BOB).includes(oid(OID.boundKey))).toBe(true);
    expect(await layers(BOB, bob)).toEqual(['aes256-gcm', 'rsa-pss-sha256']);
  });

  it.each([
    ['without the setting', false, ownCapabilities],
    ['to one who has not said so', true, ['2.16.840.1.101.3.4.1.46']],
  ])('are not used %s', async (_, boundContentKeys, capabilities) => {
    knows(bob, capabilities);
    await send([BOB], { boundContentKeys });
    expect(cms(BOB).includes(oid(OID.boundKey))).toBe(false);
  });
});

describe('post-quantum keys', () => {
  const kem = holder(BOB, generateKeyPairSync('ml-kem-768'));
  const signer = holder(ALICE, generateKeyPairSync('ml-dsa-65'));

  it('are encrypted to and sign where the setting says so, and open again', async () => {
    knows(kem);
    expect(await send([BOB], { postQuantum: true }, { sender: [signer] })).toMatch(/^250 /);
    expect(cms(BOB).includes(oid(OID.kem))).toBe(true);
    expect(await layers(BOB, kem)).toEqual(['aes256-cbc', 'ml-dsa-65']);
  });

  it("carry the sender's own copy, too", async () => {
    knows(bob);
    const own = holder(ALICE, generateKeyPairSync('ml-kem-1024'));
    await send([BOB], { postQuantum: true }, { sender: [own], rule: { sign: 'never' } });
    expect(await layers(BOB, own)).toEqual(['aes256-cbc']);
  });

  it('without the setting: a refusal that names recipient and reason where mail must be encrypted', async () => {
    knows(kem);
    const reply = await send([BOB], {}, { rule: { encrypt: 'require' } });
    expect(reply).toMatch(
      /^550 5\.7\.1 To bob@example\.org: .*ML-KEM, which is not turned on\. Nothing was sent/,
    );
    expect(upstream.offered).toEqual([]);
  });

  it('without the setting: another certificate of the same recipient is taken', async () => {
    knows(kem);
    knows(bob);
    expect(await send([BOB], {}, { rule: { encrypt: 'require' } })).toMatch(/^250 /);
    expect(await layers(BOB, bob)).toEqual(['aes256-cbc', 'rsa-pkcs1-sha256']);
  });

  it('without the setting: an ML-DSA key signs nothing', async () => {
    const reply = await send([BOB], {}, { sender: [signer] });
    expect(reply).toMatch(/^55\d /);
    expect(upstream.offered).toEqual([]);
  });
});
