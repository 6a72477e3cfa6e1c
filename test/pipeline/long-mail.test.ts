import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { collectFrom } from '../../src/octets/collect.ts';
import type { OctetSource, Spool } from '../../src/octets/source.ts';
import { judgeSubmission } from '../../src/pipeline/judge-submission.ts';
import { type OutboundParts, outboundLookups, outboundStory, policyOf } from '../../src/pipeline/outbound.ts';
import type { HandOver, HandOverOutcome, SubmissionOutcome } from '../../src/pipeline/ports.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { watchedSpool } from '../reading/support/watched-spool.ts';
import { type Person, Town } from './support/people.ts';
import {
  ACCEPTED,
  away,
  FakeDelivered,
  FakeDirectory,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  LOST,
  rule,
  submission,
} from './support/ports.ts';

/** Mail that is longer than what is worked on in memory. */

const ALICE = 'alice@example.org';
const BLIND = ['b', 'c', 'd', 'e'].map((name) => `${name}@example.org`);

let town: Town;
let alice: Person;
let bob: Person;
let others: Person[];
beforeAll(async () => {
  town = await Town.found();
  alice = await town.person(ALICE);
  others = await Promise.all(BLIND.map((address) => town.person(address)));
  bob = others[0] as Person;
});
afterAll(() => town?.end());

let keyring: FakeKeyring;
let directory: FakeDirectory;
let watched: ReturnType<typeof watchedSpool>;
beforeEach(() => {
  keyring = new FakeKeyring([alice]);
  directory = new FakeDirectory();
  for (const person of others) directory.knows(person);
  watched = watchedSpool();
});

const ATTACHMENT = randomBytes(1_500_000).toString('base64').replace(/.{76}/g, '$&\r\n');
const LONG = Buffer.from(
  [
    ...[`From: ${ALICE}`, 'To: friends:;', 'Subject: plans', `Bcc: ${BLIND[3]}`, 'MIME-Version: 1.0'],
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nthe boathouse key\r\n--b',
    'Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n',
    `${ATTACHMENT}\r\n--b--\r\n`,
  ].join('\r\n'),
);

function send(
  to: readonly string[],
  changes: Partial<Rule>,
  upstream: HandOver,
  parts: Partial<OutboundParts> = {},
): Promise<SubmissionOutcome> {
  const story = outboundStory({
    ...{ keyring, directory, delivered: new FakeDelivered(), rules: [rule(changes)], spool: watched.spool },
    ...{ clock: () => new Date(), log: new FakeLog(), ...parts },
  });
  return story.submit(submission(ALICE, to, LONG), upstream);
}

/** Tells how much lies in spools at each hand-over, and reads as far as it wants. */
class Counting implements HandOver {
  readonly upstream = { tls: true, requireTls: true };
  readonly spools: number[] = [];
  readonly #outcome: (octets: OctetSource) => Promise<HandOverOutcome>;

  constructor(outcome: (octets: OctetSource) => Promise<HandOverOutcome>) {
    this.#outcome = outcome;
  }

  async deliver({ octets }: { octets: OctetSource }): Promise<HandOverOutcome> {
    this.spools.push(watched.left());
    return this.#outcome(octets);
  }
}

describe('what OpenSSL finds in it', () => {
  it('signed: a good signature over what was sent, without the blind copies', async () => {
    const upstream = new FakeUpstream();
    expect(await send(BLIND, { encrypt: 'never' }, upstream)).toMatchObject({ kind: 'accepted' });
    const octets = upstream.messageFor(bob.address);
    // Not three letters anywhere: Base64 has them by chance.
    expect(octets.toString('latin1', 0, 2000)).not.toMatch(/^bcc:/im);
    const content = await town.verified(octets);
    expect(content).toContain('the boathouse key');
    expect(content).toContain(ATTACHMENT);
    expect(keyring.signatures).toBe(1);
  });

  it.each(['clear', 'opaque'] as const)('encrypted around a signature (%s)', async (form) => {
    const upstream = new FakeUpstream();
    await send([bob.address], { encrypt: 'require', form }, upstream);
    const signed = await town.decrypted(upstream.messageFor(bob.address), bob);
    expect(await town.verified(Buffer.from(signed, 'latin1'))).toContain(ATTACHMENT);
  });

  it('wrapped three times', async () => {
    const upstream = new FakeUpstream();
    await send([bob.address], { encrypt: 'require', form: 'triple-wrap' }, upstream);
    const encrypted = await town.verified(upstream.messageFor(bob.address));
    const signed = await town.decrypted(Buffer.from(encrypted, 'latin1'), bob);
    expect(await town.verified(Buffer.from(signed, 'latin1'))).toContain(ATTACHMENT);
  });
});

it('once it was judged, nothing of its parts is in memory while a key is waited for', async () => {
  const parts: OutboundParts = {
    ...{ keyring, directory, delivered: new FakeDelivered(), rules: [rule()] },
    ...{ clock: () => new Date(), log: new FakeLog() },
  };
  const judged = await judgeSubmission(
    submission(ALICE, [bob.address], LONG),
    policyOf(parts),
    { tls: true, requireTls: true },
    outboundLookups(parts),
    parts,
  );
  expect(judged.message.kind).toBe('in-source');
  expect(judged.message.root.parts).toEqual([]);
});

describe('spools', () => {
  it('hold one encrypted message at a time, and the key is used once for all of them', async () => {
    const upstream = new Counting(async () => ACCEPTED);
    expect(await send(BLIND, { encrypt: 'require' }, upstream)).toMatchObject({ kind: 'accepted' });
    expect(upstream.spools).toEqual([1, 1, 1, 1]);
    expect(keyring.signatures).toBe(1);
    expect(watched.left()).toBe(0);
  });

  it.each<[string, (octets: OctetSource) => Promise<HandOverOutcome>]>([
    ['the mail server is lost in the middle', (octets) => collectFrom(octets, 0, 70_000).then(() => LOST)],
    ['the hand-over has a defect', async () => Promise.reject(new Error('x'))],
    [
      'the octets are only half read',
      async (octets) => {
        for await (const chunk of octets.read()) if (chunk.length > 0) break;
        return ACCEPTED;
      },
    ],
  ])('are empty after the answer where %s', async (_, outcome) => {
    for (const form of ['clear', 'triple-wrap'] as const) {
      await send(BLIND, { encrypt: 'require', form }, new Counting(outcome));
      expect(watched.left()).toBe(0);
    }
  });

  it('are empty where a key goes away between two messages', async () => {
    let gone = false;
    const { signing } = alice;
    const sign: typeof signing.sign = (scheme, data) =>
      gone ? Promise.reject(away()) : signing.sign(scheme, data);
    keyring = new FakeKeyring([{ ...alice, signing: { ...signing, sign } }]);
    const upstream = new Counting(async () => {
      gone = true;
      return ACCEPTED;
    });
    const { reply } = await send(BLIND, { encrypt: 'require', form: 'triple-wrap' }, upstream);
    expect(reply.code).toBe(451);
    expect(upstream.spools).toEqual([1]);
    expect(watched.left()).toBe(0);
  });

  it.each([1, 5, 20])(
    'that have no more room after %i writes: the mail is refused for now, and nothing stays',
    async (writes) => {
      let left = writes;
      const { spool } = watched;
      const full: Spool = {
        begin() {
          const writer = spool.begin();
          return {
            ...{ finish: () => writer.finish(), discard: () => writer.discard() },
            write: (octets) =>
              left-- > 0 ? writer.write(octets) : Promise.reject(away('spool.unavailable')),
          };
        },
      };
      const upstream = new FakeUpstream();
      const { kind, reply } = await send([bob.address], { encrypt: 'require' }, upstream, { spool: full });
      expect([kind, reply.code]).toEqual(['refused', 451]);
      expect(upstream.offered).toEqual([]);
      expect(watched.left()).toBe(0);
    },
  );

  it('are not needed for what is signed only', async () => {
    let begun = 0;
    const spool: Spool = {
      begin() {
        begun++;
        return watched.spool.begin();
      },
    };
    await send([bob.address], { encrypt: 'never' }, new FakeUpstream(), { spool });
    expect(begun).toBe(0);
  });
});
