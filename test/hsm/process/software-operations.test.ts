import { constants, generateKeyPairSync, hash, publicEncrypt, randomBytes } from 'node:crypto';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { beforeAll, expect, test } from 'vitest';
import type { FailureError } from '../../../src/hsm/failures.ts';
import type { LoadedKey } from '../../../src/hsm/loaded-key.ts';
import type { Operation } from '../../../src/hsm/operation.ts';
import { softwareInventory } from '../../../src/hsm/process/software-inventory.ts';
import { softwareOperator } from '../../../src/hsm/process/software-operations.ts';
import type { KeyUse } from '../../../src/hsm/source-kinds.ts';
import { type Person, person } from '../key-store/people.ts';

/** What the behaviour of keys in general (keys.test.ts) does not say: of keys in a key process's own memory. */

let rsa: Person;
let ec: Person;

beforeAll(async () => {
  [rsa, ec] = await Promise.all([person('rsa-2048'), person('p-256', 'bob')]);
});

function loaded({ privateKey, certificate }: Person, use?: KeyUse): LoadedKey {
  return { label: '', privateKey, certificate, chain: [], ...(use === undefined ? {} : { use }) };
}

const idOf = ({ certificate }: Person): string => hash('sha256', certificate.subjectPublicKeyInfo);

function failureOf(keys: readonly LoadedKey[], operation: Operation): unknown {
  try {
    softwareOperator(softwareInventory(keys).threadKeys).perform(operation);
  } catch (error) {
    return (error as FailureError).failure;
  }
  return 'it was done';
}

function encrypted(octets: Uint8Array): Buffer {
  return publicEncrypt(
    { key: rsa.certificate.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
    octets,
  );
}

const oaep = { kind: 'rsa-oaep', digest: 'sha256', maskDigest: 'sha256', label: Buffer.alloc(0) } as const;

test('RFC 3218: of a ciphertext that is wrong nothing is told, whatever is wrong with it', () => {
  const key = idOf(rsa);
  const good = encrypted(randomBytes(32));
  const flipped = Buffer.from(good);
  flipped[100] = (flipped[100] ?? 0) ^ 1;
  const modulus = Buffer.from(rsa.certificate.publicKey.export({ format: 'jwk' }).n ?? '', 'base64url');
  const wrong: [
    typeof oaep | { kind: 'rsa-oaep'; digest: 'sha1'; maskDigest: 'sha256'; label: Buffer },
    Buffer,
  ][] = [
    [oaep, flipped],
    [oaep, Buffer.alloc(256)],
    [oaep, modulus],
    [oaep, Buffer.alloc(256, 0xff)],
    [oaep, good.subarray(1)],
    [oaep, Buffer.concat([Buffer.alloc(1), good])],
    [oaep, Buffer.alloc(0)],
    [{ kind: 'rsa-oaep', digest: 'sha1', maskDigest: 'sha256', label: Buffer.alloc(0) }, good],
    [{ kind: 'rsa-oaep', digest: 'sha1', maskDigest: 'sha256', label: Buffer.alloc(0) }, modulus],
  ];
  const failures = wrong.map(([scheme, encryptedKey]) =>
    failureOf([loaded(rsa)], { kind: 'decrypt', key, scheme, encryptedKey }),
  );
  expect(new Set(failures.map((failure) => JSON.stringify(failure))).size).toBe(1);
  expect(failures[0]).toMatchObject({
    code: 'key.decrypt-failed',
    duration: 'permanent',
    sessionLost: false,
  });
});

test('RFC 8017 §7.2.2: wrong PKCS#1 v1.5 padding gives other octets instead of an error, the same ones each time', () => {
  const operator = softwareOperator(softwareInventory([loaded(rsa)]).threadKeys);
  const operation: Operation = {
    kind: 'decrypt',
    key: idOf(rsa),
    scheme: { kind: 'rsa-pkcs1' },
    encryptedKey: encrypted(Buffer.from('cek')),
  };
  const once = operator.perform(operation);
  expect(operator.perform(operation)).toEqual(once);
});

test('attack: a key that is there for decryption signs for nobody, and the other way round', () => {
  const sign: Operation = {
    kind: 'sign',
    key: idOf(rsa),
    scheme: { kind: 'rsa-pkcs1', digest: 'sha256' },
    input: 'message',
    data: Buffer.from('x'),
  };
  const decrypt: Operation = {
    kind: 'decrypt',
    key: idOf(rsa),
    scheme: oaep,
    encryptedKey: encrypted(Buffer.from('cek')),
  };
  expect(failureOf([loaded(rsa, 'decrypt')], sign)).toMatchObject({ code: 'key.refused' });
  expect(failureOf([loaded(rsa, 'sign')], decrypt)).toMatchObject({ code: 'key.refused' });
  expect(failureOf([loaded(rsa, 'decrypt')], decrypt)).toBe('it was done');
  expect(failureOf([loaded(rsa, 'sign')], sign)).toBe('it was done');
});

test('a key that is not there, and a key of another kind, are refused', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const originator = publicKey.export({ type: 'spki', format: 'der' });
  for (const operation of [
    { kind: 'agree', key: 'f'.repeat(64), originator },
    { kind: 'agree', key: idOf(rsa), originator },
    { kind: 'decapsulate', key: idOf(ec), ciphertext: Buffer.alloc(1_088) },
    { kind: 'decrypt', key: idOf(ec), scheme: oaep, encryptedKey: Buffer.alloc(256) },
    {
      kind: 'sign',
      key: idOf(ec),
      scheme: { kind: 'ecdsa', digest: 'sha1' },
      input: 'message',
      data: Buffer.alloc(1),
    },
    {
      kind: 'sign',
      key: idOf(ec),
      scheme: { kind: 'ecdsa', digest: 'sha256' },
      input: 'digest',
      data: Buffer.alloc(32),
    },
  ] satisfies Operation[]) {
    expect(failureOf([loaded(rsa), loaded(ec)], operation)).toMatchObject({
      code: 'key.refused',
      duration: 'permanent',
    });
  }
});

test('what is posted to a thread is all that it needs', () => {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(softwareInventory([loaded(rsa), loaded(ec)]).threadKeys);
  const operator = softwareOperator(receiveMessageOnPort(port2)?.message);
  const cek = randomBytes(32);
  expect(
    operator.perform({ kind: 'decrypt', key: idOf(rsa), scheme: oaep, encryptedKey: encrypted(cek) }),
  ).toEqual(cek);
  port1.close();
});
