import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { harvestStory } from '../../src/pipeline/harvest-stored.ts';
import { principalNamed } from '../support/principal.ts';
import { type Person, Town } from './support/people.ts';
import { away, FakeDirectory, FakeKeyring, FakeLog } from './support/ports.ts';

const [ALICE, BOB] = ['alice@example.org', 'bob@example.org'];
const ENTITY = 'Content-Type: text/plain\r\n\r\nthe boathouse key\r\n';

let town: Town;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  town = await Town.found();
  [alice, bob] = [await town.person(ALICE), await town.person(BOB)];
});
afterAll(() => town?.end());

let keyring: FakeKeyring;
let directory: FakeDirectory;
let log: FakeLog;
beforeEach(() => {
  keyring = new FakeKeyring([alice, bob]);
  directory = new FakeDirectory();
  log = new FakeLog();
});

async function learn(octets: Buffer, memoryOctets?: number): Promise<void> {
  const story = harvestStory({
    ...{ keyring, directory, anchors: [town.anchor], intermediates: [], log },
    clock: () => new Date(),
    ...(memoryOctets === undefined ? {} : { memoryOctets }),
  });
  const verified = await story.verify(principalNamed(BOB), bufferSource(octets));
  await verified?.harvest();
}

function signed(by: Person, from: string, ...args: readonly string[]): Promise<Buffer> {
  const { certificateFile, keyFile } = by.files;
  const signer = ['-signer', certificateFile, '-inkey', keyFile, ...args];
  return town.made([`From: ${from}`, `To: ${BOB}`], ENTITY, '-sign', ...signer);
}

describe('mail that bob’s client has stored', () => {
  it.each([
    ['clear', []],
    ['opaque', ['-nodetach']],
  ])(
    'signed by a correspondent (%s): her certificate is learned, in memory and in spools',
    async (_, args) => {
      const octets = await signed(alice, ALICE, ...args);
      await learn(octets);
      await learn(octets, 10);
      expect(directory.harvested).toMatchObject([
        { address: ALICE, trust: 'verified' },
        { address: ALICE, trust: 'verified' },
      ]);
    },
  );

  it.each([
    ['a forged From', 'carol@example.org'],
    ['two addresses in From', `${ALICE}, carol@example.org`],
    ['no From that is one', 'nobody'],
    // As every mail program does with what it signs itself.
    ['the login’s own From', BOB],
    ['the login’s own From, spelt otherwise', 'BOB@Example.ORG'],
  ])('%s: nothing is learned', async (_, from) => {
    await learn(await signed(from.toLowerCase() === BOB ? bob : alice, from));
    expect(directory.harvested).toEqual([]);
  });

  it('a signature that somebody else’s words were put under', async () => {
    const octets = await signed(alice, ALICE);
    await learn(Buffer.from(octets.toString('latin1').replace('boathouse', 'treehouse'), 'latin1'));
    expect(directory.harvested).toEqual([]);
  });

  it('by an issuer that nobody knows: no more than harvested', async () => {
    const elsewhere = await Town.found();
    try {
      await learn(await signed(await elsewhere.person(ALICE), ALICE));
    } finally {
      await elsewhere.end();
    }
    expect(directory.harvested).toMatchObject([{ address: ALICE, trust: 'harvested' }]);
  });

  it('encrypted to bob: no key is asked for, and nothing is learned', async () => {
    const inside = (await signed(alice, ALICE)).toString('latin1');
    const args = ['-encrypt', '-aes-256-cbc', bob.files.certificateFile];
    await learn(await town.made([`From: ${ALICE}`], inside, ...args));
    expect(keyring.askedFor).toEqual([]);
    expect(directory.harvested).toEqual([]);
  });

  it('damage is no error, nor is a directory that is away', async () => {
    await learn(
      Buffer.from(
        'From: a@example.org\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\nMII',
      ),
    );
    directory.trouble = away('directory.unavailable');
    await learn(await signed(alice, ALICE));
    expect(log.named('directory.harvest-failed')).toMatchObject([{ address: ALICE }]);
  });
});
