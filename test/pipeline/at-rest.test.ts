import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collect } from '../../src/octets/collect.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import { atRestStory } from '../../src/pipeline/at-rest.ts';
import { keyFit } from '../../src/pipeline/key-fit.ts';
import type { Keyring, SealOutcome, Standing } from '../../src/pipeline/ports.ts';
import { cautiousAlgorithms } from '../../src/smime/algorithm-choice.ts';
import { ecKey, generalName, makeCertificate, subjectAltName } from '../pki/make-certificate.ts';
import { principalNamed } from '../support/principal.ts';
import { type LoadedKey, SoftwareKeys } from '../support/software-keys.ts';

const ALICE = 'alice@example.org';
const OUTER = Buffer.from(`From: ${ALICE}\r\nSubject: [...]\r\n`);
const software = new SoftwareKeys();

function holder(
  label: string,
  validity: { notBefore?: Date; notAfter?: Date } = {},
  address = ALICE,
): LoadedKey {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const extensions = [subjectAltName(generalName.mailbox(address))];
  const certificate = makeCertificate({
    ...{ subject: label, issuer: 'CA', issuerKey: ecKey('ca'), key, extensions, ...validity },
  });
  return { label, certificate, chain: [], privateKey: key.privateKey };
}

const first = holder('first');
const second = holder('second');
const expired = holder('expired', { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') });

function ring(loaded: readonly LoadedKey[], changes: Partial<Keyring> = {}): Keyring {
  return {
    addressesOf: () => [ALICE],
    signingKeys: async () => [],
    whyNoSigningKey: () => ({ reason: 'none', duration: 'permanent', publicText: 'There is none.' }),
    decryptionKeys: async () => loaded.flatMap((one) => software.decryptionKey(one) ?? []),
    ownCertificates: () => loaded.map(({ certificate }) => ({ certificate, readsOaep: true })),
    unseen: () => null,
    ...changes,
  };
}

function story(keyring: Keyring, standing?: (label: string) => Standing) {
  return atRestStory({
    ...{ keyring, algorithms: cautiousAlgorithms, spool: encryptedSpool(), clock: () => new Date() },
    ...(standing === undefined
      ? {}
      : {
          standing: {
            of: async (certificate) =>
              standing(certificate.der.equals(first.certificate.der) ? 'first' : 'second'),
          },
        }),
  });
}

async function sealed(outcome: SealOutcome): Promise<Buffer> {
  if (outcome.kind !== 'sealed') throw new Error(outcome.kind);
  const octets = await collect(outcome.octets);
  expect(octets.length).toBe(outcome.length);
  return octets;
}

const seal = (keyring: Keyring, octets: Buffer, standing?: (label: string) => Standing) =>
  story(keyring, standing).seal({
    principal: principalNamed(ALICE),
    outer: OUTER,
    octets: bufferSource(octets),
  });

const unseal = (keyring: Keyring, octets: Buffer) =>
  story(keyring).unseal({
    ...{ session: newSessionId(), principal: principalNamed(ALICE), octets: bufferSource(octets) },
  });

test.each([
  ['a mail', Buffer.from('Subject: a\r\n\r\nwords\r\n')],
  ['line ends of every kind, NUL, octets beyond ASCII', Buffer.from('A: b\n\rc\0\xff\xfe\r\r\n\n', 'latin1')],
  ['hardly anything', Buffer.from('x')],
  ['more than memory should hold', Buffer.alloc(700_000, 'words and words\r\n')],
])('%s comes back octet by octet, by every one of its login’s keys', async (_, octets) => {
  const object = await sealed(await seal(ring([first, second]), octets));
  expect(object.subarray(0, OUTER.length).equals(OUTER)).toBe(true);
  // With what is no letter: Base64 has any five letters by chance.
  if (octets.length > 1) expect(object.includes(octets.subarray(0, 10))).toBe(false);
  expect(/[^\x09\x0a\x0d\x20-\x7e]/.test(object.toString('latin1'))).toBe(false);
  for (const key of [first, second]) {
    const outcome = await unseal(ring([key]), object);
    if (outcome.kind !== 'opened') throw new Error(outcome.kind);
    expect((await collect(outcome.octets.read())).equals(octets)).toBe(true);
    await outcome.discard();
  }
  expect((await unseal(ring([holder('other')]), object)).kind).toBe('failed');
});

test('only certificates that are valid now and not revoked', async () => {
  const octets = Buffer.from('A: b\r\n\r\nc\r\n');
  const fit = keyFit(ring([expired]));
  const object = await sealed(await seal(ring([expired, first]), octets));
  expect(await fit.fits(principalNamed(ALICE), bufferSource(object))).toBe(false);
  expect((await seal(ring([expired]), octets)).kind).toBe('refused');
  const revoked = (label: string): Standing =>
    label === 'first'
      ? { kind: 'revoked', why: 'It is.' }
      : { kind: 'unchecked', why: 'Nobody knows.', mayPass: true };
  const other = await sealed(await seal(ring([first, second]), octets, revoked));
  expect(await keyFit(ring([first])).fits(principalNamed(ALICE), bufferSource(other))).toBe(false);
  expect(await keyFit(ring([second])).fits(principalNamed(ALICE), bufferSource(other))).toBe(true);
});

test('attack: a card of somebody else that was once in the reader gets no key to what is stored', async () => {
  const octets = Buffer.from('A: b\r\n\r\nc\r\n');
  const stranger = holder('stranger', {}, 'bob@example.org');
  const object = await sealed(await seal(ring([stranger, first]), octets));
  expect(await keyFit(ring([stranger])).fits(principalNamed(ALICE), bufferSource(object))).toBe(false);
  expect(await keyFit(ring([first])).fits(principalNamed(ALICE), bufferSource(object))).toBe(true);
  expect((await seal(ring([stranger]), octets)).kind).toBe('refused');
});

test('without a certificate it is refused: for good, or until a card was seen', async () => {
  const octets = Buffer.from('A: b\r\n\r\nc\r\n');
  expect(await seal(ring([]), octets)).toMatchObject({ kind: 'refused', duration: 'permanent' });
  const unseen = ring([], { unseen: () => 'Insert the card.' });
  expect(await seal(unseen, octets)).toMatchObject({
    ...{ kind: 'refused', duration: 'temporary', publicText: 'Insert the card.' },
  });
});

test('what is encrypted goes as it is; what only says so does not', async () => {
  const object = await sealed(await seal(ring([first]), Buffer.from('A: b\r\n\r\nc\r\n')));
  expect((await seal(ring([first]), object)).kind).toBe('as-is');
  const pretends = Buffer.from(
    'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nthese are words\r\n',
  );
  const signed = Buffer.from(
    'Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n',
  );
  for (const octets of [pretends, signed]) expect((await seal(ring([first]), octets)).kind).toBe('sealed');
});

test('a key that is away is away for now; damage is none', async () => {
  const object = await sealed(await seal(ring([first]), Buffer.from('A: b\r\n\r\nc\r\n')));
  const away = new SealgateError({
    code: 'key.unavailable',
    duration: 'temporary',
    publicText: 'Insert the card.',
  });
  const [key] = await ring([first]).decryptionKeys(principalNamed(ALICE));
  if (key === undefined) throw new Error('no key');
  const keyring = ring([first], {
    decryptionKeys: async () => [{ ...key, decryptKey: () => Promise.reject(away) }],
  });
  expect(await unseal(keyring, object)).toEqual({
    ...{ kind: 'unavailable', key: true, publicText: 'Insert the card.' },
  });
  const damaged = Buffer.from(object);
  damaged[damaged.length - 40] = (damaged[damaged.length - 40] ?? 0) ^ 1;
  for (const octets of [damaged, Buffer.from('A: b\r\n\r\nc\r\n'), Buffer.alloc(0)])
    expect((await unseal(ring([first]), octets)).kind).toBe('failed');
  expect((await unseal(ring([], { unseen: () => 'Insert the card.' }), object)).kind).toBe('unavailable');
});

test('keys are the same until one comes or goes', async () => {
  const principal = principalNamed(ALICE);
  const keys = await keyFit(ring([first, second])).keys(principal);
  expect(await keyFit(ring([second, first])).keys(principal)).toBe(keys);
  expect(await keyFit(ring([first])).keys(principal)).not.toBe(keys);
});
