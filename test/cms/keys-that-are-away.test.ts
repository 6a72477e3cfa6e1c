import { afterAll, beforeAll, expect, test } from 'vitest';
import { decrypt } from '../../src/cms/decrypt.ts';
import { decryptWith } from '../../src/cms/decryption.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { readEnvelopedData } from '../../src/cms/enveloped-data.ts';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { openContent } from '../../src/cms/openable-content.ts';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';
import { decryptionKey } from './support/software-keys.ts';

/** One reader with two keys, a mail to both, and a card that is not in the reader, or asks for its PIN. */
const content = Buffer.from('Content-Type: text/plain\r\n\r\nThe secret.\r\n');

let at: IdentityFolder;
let onCard: Identity;
let inFile: Identity;
beforeAll(() => {
  at = new IdentityFolder();
  onCard = at.issue('card', 'rsa');
  inFile = at.issue('file', 'P-256');
});
afterAll(() => at.remove());

function keyOf({ privateKey, certificate }: Identity): DecryptionKey {
  return decryptionKey(privateKey, certificate);
}

/** A key that says the same whatever it is asked, and counts how often it was. */
function silent({ certificate }: Identity, error: SealgateError): DecryptionKey & { asked: number } {
  const key = {
    label: 'card',
    certificate,
    asked: 0,
    decryptKey: () => refuse(),
    agree: () => refuse(),
    decapsulate: () => refuse(),
  };
  async function refuse(): Promise<never> {
    key.asked++;
    throw error;
  }
  return key;
}

function failure(code: string, duration: 'temporary' | 'permanent', publicText = code): SealgateError {
  return new SealgateError({ code, duration, publicText });
}

async function mailFor(...readers: readonly Identity[]): Promise<Buffer> {
  const recipients = readers.map(({ certificate }) => ({ certificate }));
  return encrypt({ content, recipients, algorithm: 'aes256-gcm' });
}

test('the first key of the reader is tried first, wherever the mail names it', async () => {
  for (const octets of [await mailFor(onCard, inFile), await mailFor(inFile, onCard)]) {
    const card = silent(onCard, failure('key.unavailable', 'temporary'));
    expect(await decrypt(octets, [keyOf(inFile), card])).toMatchObject({ outcome: 'opened', content });
    expect(card.asked).toBe(0);
  }
});

test('a key that is away does not keep another one from opening the mail', async () => {
  const card = silent(onCard, failure('key.unavailable', 'temporary'));
  const opened = await decrypt(await mailFor(onCard, inFile), [card, keyOf(inFile)]);
  expect(opened).toMatchObject({ outcome: 'opened', content });
  expect(card.asked).toBe(1);
});

test.each([
  failure('key.unavailable', 'temporary'),
  failure('key.pin-incorrect', 'permanent'),
  failure('key.pin-locked', 'permanent'),
  failure('key.pin-needed', 'temporary'),
])('where no other key opens the mail, $code is told and is no damage', async (error) => {
  const octets = await mailFor(onCard);
  await expect(decrypt(octets, [silent(onCard, error), keyOf(inFile)])).rejects.toBe(error);
});

test('of two keys that are away the first is told', async () => {
  const first = failure('key.pin-needed', 'temporary', 'type the PIN');
  const second = failure('key.unavailable', 'temporary', 'insert the card');
  const octets = await mailFor(inFile, onCard);
  await expect(decrypt(octets, [silent(onCard, first), silent(inFile, second)])).rejects.toBe(first);
});

test('a key that never does this operation, or finds nothing, says nothing of the mail', async () => {
  for (const code of ['key.refused', 'key.decrypt-failed']) {
    const octets = await mailFor(onCard);
    const card = silent(onCard, failure(code, 'permanent'));
    expect(await decrypt(octets, [card])).toMatchObject({ outcome: 'failed' });
  }
});

test('attack: a mail that names the card again and again does not keep the other key from being tried', async () => {
  const octets = await mailFor(onCard, inFile);
  // What the attempts are made from: the same RecipientInfo for the card many times over, the other one last.
  const enveloped = readEnvelopedData(octets);
  const [one, two] = enveloped.recipientInfos;
  if (one?.kind === undefined || two?.kind === undefined) throw new Error('two RecipientInfos expected');
  const [forCard, forFile] = one.kind === 'key-transport' ? [one, two] : [two, one];
  const recipientInfos = [...Array<typeof one>(limits.cms.keyOperations + 10).fill(forCard), forFile];
  const { ciphertext } = enveloped;
  const card = silent(onCard, failure('key.decrypt-failed', 'permanent'));
  const opened = await decryptWith(
    { ...enveloped, recipientInfos },
    { octets: ciphertext.length, end: ciphertext },
    [keyOf(inFile), card],
    {},
    (openable, key) => openContent(openable, ciphertext, key),
  );
  expect(opened).toMatchObject({ outcome: 'opened' });
  expect(card.asked).toBe(0);
});
