import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { type InboundParts, inboundStory } from '../../src/pipeline/inbound.ts';
import { inPieces } from '../mail-view/support/pieces.ts';
import { watchedSpool } from '../reading/support/watched-spool.ts';
import { principalNamed } from '../support/principal.ts';
import { type BufferedOutcome, buffered } from './support/buffered.ts';
import { type Person, Town } from './support/people.ts';
import { away, FakeDirectory, FakeKeyring, FakeLog, mail } from './support/ports.ts';

/** A mail that is opened in memory and one that is opened in spools: whoever reads it cannot tell which it was. */

const [ALICE, BOB] = ['alice@example.org', 'bob@example.org'];
const HEADER = [`From: ${ALICE}`, `To: ${BOB}`, 'Subject: to be read'];
const ENTITY = `Content-Type: text/plain\r\n\r\n${'the boathouse key\r\n'.repeat(40)}`;
const INSIDE =
  'Content-Type: text/plain; hp="cipher"\r\nHP-Outer: Subject: to be read\r\nFrom: alice@example.org\r\nSubject: Inside\r\n\r\nHi\r\n';

let town: Town;
let alice: Person;
let bob: Person;
const mails = new Map<string, Buffer>();
beforeAll(async () => {
  town = await Town.found();
  alice = await town.person(ALICE, { keyType: 'rsa-2048' });
  bob = await town.person(BOB, { keyType: 'rsa-2048' });
  const signer = ['-sign', '-signer', alice.files.certificateFile, '-inkey', alice.files.keyFile];
  const to = bob.files.certificateFile;
  const signed = await town.made([], ENTITY, ...signer);
  const inside = signed.toString('latin1').trimStart();
  mails.set('plain', mail(HEADER));
  mails.set('clear-signed', await town.made(HEADER, ENTITY, ...signer));
  mails.set('opaque-signed', await town.made(HEADER, ENTITY, ...signer, '-nodetach'));
  mails.set('signed by another', await town.made([`From: ${BOB}`], ENTITY, ...signer, '-nodetach'));
  mails.set('encrypted', await town.made(HEADER, ENTITY, '-encrypt', '-aes-256-cbc', to));
  mails.set('authenticated', await town.made(HEADER, ENTITY, '-encrypt', '-aes-256-gcm', to));
  mails.set('both', await town.made(HEADER, inside, '-encrypt', '-aes-256-cbc', to));
  mails.set(
    'changed inside',
    await town.made(HEADER, inside.replace('boat', 'tree'), '-encrypt', '-aes-256-cbc', to),
  );
  mails.set('protected header', await town.made(HEADER, INSIDE, '-encrypt', '-aes-256-gcm', to));
  mails.set('to somebody else', await town.made(HEADER, ENTITY, '-encrypt', alice.files.certificateFile));
});
afterAll(() => town?.end());

type Story = { outcome: BufferedOutcome; harvested: unknown; events: unknown; left: number };

async function told(octets: Buffer, memoryOctets: number, trouble: Error | null): Promise<Story> {
  const keyring = new FakeKeyring([bob]);
  keyring.decryptionTrouble = trouble;
  const directory = new FakeDirectory();
  const log = new FakeLog();
  const { spool, left } = watchedSpool(64);
  const parts: InboundParts = {
    ...{ keyring, directory, anchors: [town.anchor], intermediates: [], log, spool, memoryOctets },
    clock: () => NOW,
  };
  const outcome = await buffered(
    inboundStory(parts).open({
      session: newSessionId(),
      principal: principalNamed(BOB),
      octets: memoryOctets === 0 ? inPieces(octets, 1_000) : bufferSource(octets),
    }),
  );
  return { outcome, harvested: directory.harvested, events: log.events, left: left() };
}

const NOW = new Date();

async function agree(octets: Buffer, trouble: Error | null = null): Promise<BufferedOutcome> {
  const [small, large] = [
    await told(octets, Number.POSITIVE_INFINITY, trouble),
    await told(octets, 0, trouble),
  ];
  expect(large).toEqual(small);
  expect(large.left).toBe(0);
  return small.outcome;
}

it.each([
  ['plain', 'as-is'],
  ['clear-signed', 'as-is'],
  ['opaque-signed', 'opened'],
  ['signed by another', 'opened'],
  ['encrypted', 'opened'],
  ['authenticated', 'opened'],
  ['both', 'opened'],
  ['changed inside', 'opened'],
  ['protected header', 'opened'],
  ['to somebody else', 'no-key'],
])('a mail that is %s', async (name, kind) => {
  const octets = mails.get(name) ?? Buffer.alloc(0);
  expect((await agree(octets)).kind).toBe(kind);
  expect((await agree(octets.subarray(0, octets.length - 200))).kind).not.toBe('unavailable');
});

it('a mail whose key is away', async () => {
  expect((await agree(mails.get('both') ?? Buffer.alloc(0), away())).kind).toBe('unavailable');
});

it('a mail with whatever damage', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(9),
      fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), { minLength: 1, maxLength: 3 }),
      async (which, changes) => {
        const octets = Buffer.from([...mails.values()][which] ?? Buffer.alloc(0));
        for (const { at, value } of changes) octets[at % octets.length] = value;
        await agree(octets);
      },
    ),
    { numRuns: 60 },
  );
});
