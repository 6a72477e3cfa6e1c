import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import type {} from '../../src/pipeline/ports.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { principalNamed } from '../support/principal.ts';
import { type BufferedOutcome, buffered } from './support/buffered.ts';
import { type Person, Town } from './support/people.ts';
import {
  FakeDelivered,
  FakeDirectory,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  mail,
  rule,
  ruleFor,
  submission,
} from './support/ports.ts';

/** Header protection (RFC 9788) through both stories: what alice sends is what bob reads. */

const [ALICE, BOB, CAROL, MALLORY] = [
  'alice@example.org',
  'bob@example.org',
  'carol@example.org',
  'mallory@example.org',
];
const HEADER = [
  `From: Alice <${ALICE}>`,
  `To: ${BOB}, ${CAROL}`,
  'Subject: the cellar door',
  'Thread-Topic: the cellar door',
  'Message-ID: <1@example.org>',
];

let town: Town;
let people: Person[];
beforeAll(async () => {
  town = await Town.found();
  people = await Promise.all([ALICE, BOB, CAROL, MALLORY].map((address) => town.person(address)));
});
afterAll(() => town?.end());

let keyring: FakeKeyring;
let directory: FakeDirectory;
let log: FakeLog;
let upstream: FakeUpstream;
beforeEach(() => {
  keyring = new FakeKeyring(people);
  directory = new FakeDirectory();
  log = new FakeLog();
  upstream = new FakeUpstream();
});

function person(address: string): Person {
  const found = people.find((each) => each.address === address);
  if (found === undefined) throw new Error(address);
  return found;
}

async function send(to: readonly string[], octets: Buffer, rules: readonly Rule[]): Promise<void> {
  const delivered = new FakeDelivered();
  const story = outboundStory({ keyring, directory, delivered, rules, clock: () => new Date(), log });
  const outcome = await story.submit(submission(ALICE, to, octets), upstream);
  expect(outcome.kind).toBe('accepted');
}

function read(octets: Buffer, login = BOB): Promise<BufferedOutcome> {
  const parts = { keyring, directory, anchors: [town.anchor], intermediates: [] };
  const story = inboundStory({ ...parts, clock: () => new Date(), log });
  const request = { session: newSessionId(), principal: principalNamed(login) };
  return buffered(story.open({ ...request, octets: bufferSource(octets) }));
}

describe('a rule that protects the Subject', () => {
  it.each(['require', 'never'] as const)(
    'hides it on the way, and its readers find it (sign: %s)',
    async (sign) => {
      directory.knows(person(BOB));
      await send([BOB], mail(HEADER), [rule({ sign, encrypt: 'require', subject: 'protect' })]);
      const octets = upstream.messageFor(BOB);
      expect(octets.toString()).not.toContain('cellar');
      expect(octets.toString()).toContain('\r\nSubject: [...]\r\n');
      expect(JSON.stringify(log.events)).not.toContain('cellar');
      const outcome = await read(octets);
      if (outcome.kind !== 'opened') throw new Error(outcome.kind);
      expect(outcome.header?.toString()).toBe(`${HEADER.join('\r\n')}\r\n`);
      expect(outcome.entity.toString()).toContain('\r\n\r\nthe boathouse key');
      expect(outcome.verdict.kind).toBe(sign === 'require' ? 'trusted' : 'unsigned');
    },
  );

  it('says for each recipient by itself; each signature says what its mail hides', async () => {
    directory.knows(person(BOB)).knows(person(CAROL));
    const rules = [ruleFor([BOB], { encrypt: 'require', subject: 'protect' }), rule({ encrypt: 'require' })];
    await send([BOB, CAROL], mail(HEADER), rules);
    expect(upstream.messageFor(BOB).toString()).not.toContain('cellar');
    expect(upstream.messageFor(CAROL).toString()).toContain('Subject: the cellar door');
    expect(keyring.signatures).toBe(2);
    for (const login of [BOB, CAROL]) {
      const outcome = await read(upstream.messageFor(login), login);
      expect(outcome).toMatchObject({ kind: 'opened', verdict: { kind: 'trusted' } });
      if (outcome.kind !== 'opened') throw new Error(outcome.kind);
      expect(outcome.report.headerProtection?.fields.filter(({ differs }) => differs)).toEqual([]);
    }
  });

  it('cannot hide what the client has signed itself: the Subject stays, the octets too', async () => {
    await send([BOB], mail(HEADER), [rule({ encrypt: 'never' })]);
    const signed = upstream.messageFor(BOB);
    directory.knows(person(BOB));
    upstream = new FakeUpstream();
    await send([BOB], signed, [rule({ encrypt: 'require', subject: 'protect' })]);
    const octets = upstream.messageFor(BOB);
    expect(octets.toString()).toContain('Subject: the cellar door');
    expect(await read(octets)).toMatchObject({ kind: 'opened', verdict: { kind: 'trusted' } });
  });

  it('tells nobody inside who gets a blind copy', async () => {
    directory.knows(person(BOB)).knows(person(CAROL));
    const header = [`From: ${ALICE}`, `To: ${BOB}`, `Bcc: ${CAROL}`, 'Subject: s'];
    await send([BOB, CAROL], mail(header), [rule({ sign: 'never', encrypt: 'require', subject: 'protect' })]);
    for (const login of [BOB, CAROL]) {
      expect(await town.decrypted(upstream.messageFor(login), person(login))).not.toMatch(/carol|bcc/i);
    }
  });
});

describe('reading', () => {
  it('attack: a certificate is learnt for the From it was judged by, and not for the one outside', async () => {
    keyring = new FakeKeyring(people);
    const from = HEADER.map((line) => line.replaceAll('Alice <alice@', 'Mallory <mallory@'));
    const story = outboundStory({
      ...{ keyring, directory, delivered: new FakeDelivered(), log },
      rules: [rule({ encrypt: 'never', form: 'opaque' })],
      clock: () => new Date(),
    });
    await story.submit(submission(MALLORY, [BOB], mail(from)), upstream);
    const octets = upstream.messageFor(BOB).toString('latin1');
    const outcome = await read(
      Buffer.from(octets.replace('From: Mallory <mallory@', 'From: Alice <alice@'), 'latin1'),
    );
    expect(outcome).toMatchObject({ kind: 'opened', verdict: { kind: 'untrusted' } });
    expect(directory.harvested.map(({ address }) => address)).toEqual([MALLORY]);
  });
});
