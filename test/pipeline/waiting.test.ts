import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SealgateError } from '../../src/errors.ts';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import { type HeldProtectorParts, heldProtector } from '../../src/pipeline/held-protector.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import { type OutboundParts, outboundStory } from '../../src/pipeline/outbound.ts';
import type { Standing, SubmissionOutcome } from '../../src/pipeline/ports.ts';
import type { HeldProtection, MailToHold } from '../../src/pipeline/waiting.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { watchedSpool } from '../reading/support/watched-spool.ts';
import { principalNamed } from '../support/principal.ts';
import { type BufferedOutcome, buffered } from './support/buffered.ts';
import { type Person, Town } from './support/people.ts';
import {
  ACCEPTED,
  away,
  FakeDelivered,
  FakeDirectory,
  FakeHolding,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  LOST,
  mail,
  PERMANENT,
  recipient,
  rule,
  ruleFor,
  submission,
  TEMPORARY,
  textOf,
} from './support/ports.ts';

/** Mail for those whose certificate is missing: what is kept, in which order, and what becomes of it when there is one. */

const ALICE = 'alice@example.org';
const [BOB, CAROL, DAVE] = ['bob@example.org', 'carol@example.org', 'dave@example.org'];
const WORDS = 'the boathouse key';
const HEADER = [
  `From: Alice <${ALICE}>`,
  `To: ${BOB}, ${CAROL}`,
  'Subject: where it lies',
  'Message-ID: <1@example.org>',
];

let town: Town;
let alice: Person;
let bob: Person;
let carol: Person;
let dave: Person;
beforeAll(async () => {
  town = await Town.found();
  [alice, bob, carol, dave] = (await Promise.all(
    [ALICE, BOB, CAROL, DAVE].map((address) => town.person(address)),
  )) as [Person, Person, Person, Person];
});
afterAll(() => town?.end());

let keyring: FakeKeyring;
let directory: FakeDirectory;
let log: FakeLog;
let delivered: FakeDelivered;
let upstream: FakeUpstream;
let holding: FakeHolding;
let standings: Map<string, Standing>;
beforeEach(() => {
  keyring = new FakeKeyring([alice, bob, carol, dave]);
  directory = new FakeDirectory();
  log = new FakeLog();
  delivered = new FakeDelivered();
  upstream = new FakeUpstream();
  holding = new FakeHolding();
  standings = new Map();
});

const HOLD = { encrypt: 'require', withoutCertificate: 'hold' } as const;
const ASK = { encrypt: 'require', withoutCertificate: 'ask' } as const;

const revocation = () => ({
  failure: 'soft' as const,
  standing: {
    of: async ({ fingerprint }: { fingerprint: string }): Promise<Standing> =>
      standings.get(fingerprint) ?? { kind: 'good' },
  },
});

function send(
  to: readonly string[],
  rules: readonly Rule[],
  {
    octets = mail(HEADER),
    reversePath,
    ...changes
  }: Partial<OutboundParts> & { octets?: Buffer; reversePath?: null } = {},
): Promise<SubmissionOutcome> {
  const parts = { keyring, directory, delivered, holding, rules, revocation: revocation(), log };
  const story = outboundStory({ ...parts, clock: () => new Date(), ...changes });
  const { envelope, ...submitted } = submission(ALICE, to, octets);
  const sent = reversePath === undefined ? envelope : { ...envelope, reversePath };
  return story.submit({ ...submitted, envelope: sent }, upstream);
}

/** What was kept; one mail. */
function kept(): MailToHold {
  const [one] = holding.held;
  if (one === undefined || holding.held.length !== 1) throw new Error(`${holding.held.length} mails wait`);
  return one;
}

async function inMemory(octets: OctetSource | null): Promise<Buffer> {
  if (octets === null) throw new Error('there is none');
  return collectFrom(octets);
}

/** As it comes back from the disk. */
async function release(
  held: MailToHold,
  to = BOB,
  at = new Date(),
  where: Pick<HeldProtectorParts, 'memoryOctets' | 'spool'> = {},
): Promise<HeldProtection> {
  const parts = { directory, revocation: revocation(), clock: () => at, log, ...where };
  const { headerProtection, own } = held;
  const encryptable = bufferSource(await collectFrom(held.encryptable));
  const { id, from, login } = held;
  const terms = JSON.parse(JSON.stringify(held.terms));
  return heldProtector(parts).protect({ id, from, login, terms }, recipient(to), async () => ({
    ...{ encryptable, headerProtection, own },
  }));
}

async function released(held: MailToHold, to = BOB): Promise<Buffer> {
  const protection = await release(held, to);
  if (protection.kind !== 'ready') throw new Error(`${protection.kind}: ${JSON.stringify(protection)}`);
  return collectFrom(protection.octets);
}

function read(octets: Buffer, login: string): Promise<BufferedOutcome> {
  const parts = { keyring, directory, anchors: [town.anchor], intermediates: [] };
  const story = inboundStory({
    ...{ ...parts, clock: () => new Date(), log, subjectEmailAddress: false },
  });
  return buffered(
    story.open({
      session: newSessionId(),
      principal: principalNamed(login),
      octets: bufferSource(octets),
    }),
  );
}

describe('a mail to somebody without certificate, under hold', () => {
  it('waits, and the gateway’s own 250 says for whom', async () => {
    const outcome = await send([BOB], [rule(HOLD)]);
    expect(outcome.kind).toBe('accepted');
    expect(outcome.reply.code).toBe(250);
    expect(outcome.reply.lines).toEqual([
      expect.stringMatching(/^2\.0\.0 Kept until it can be encrypted to bob@example\.org\. \(mail .+\)$/),
    ]);
    expect(upstream.offered).toEqual([]);
    expect(kept()).toMatchObject({
      ...{ from: ALICE, login: ALICE, listener: 'submission', shownSubject: 'where it lies' },
      recipients: [{ recipient: recipient(BOB), because: 'no valid certificate is known' }],
      terms: {
        ...{ rule: 'all', ask: false, minTrust: 'harvested', revocation: 'soft', algorithms: null },
        ...{ subject: 'keep', requireTls: 'no', appendTo: null },
      },
      ...{ headerProtection: null, readable: null, introduction: null },
      own: { certificate: alice.certificate },
    });
    expect(delivered.keys.size).toBe(0);
  });

  it('leaves encrypted to her and the sender alone once her certificate is known, as it was signed', async () => {
    await send([BOB], [rule(HOLD)]);
    expect(await release(kept())).toEqual({ kind: 'waiting', because: 'no valid certificate is known' });
    directory.knows(bob);
    const signatures = keyring.signatures;
    const octets = await released(kept());
    expect(keyring.signatures).toBe(signatures);
    expect(octets.toString('latin1')).not.toContain('boathouse');
    for (const reader of [BOB, ALICE]) {
      expect(await read(octets, reader)).toMatchObject({ kind: 'opened', verdict: { kind: 'trusted' } });
    }
    const outcome = await read(octets, BOB);
    expect(outcome.kind === 'opened' && outcome.entity.toString()).toContain(WORDS);
    expect(await read(octets, CAROL)).toMatchObject({ kind: 'no-key' });
    await town.verified(Buffer.from(await town.decrypted(octets, bob)));
  });

  it('is released to each on her own: nobody’s message names another', async () => {
    await send([BOB, CAROL, DAVE], [rule(HOLD)]);
    expect(kept().recipients.map(({ recipient: one }) => textOf(one))).toEqual([BOB, CAROL, DAVE]);
    for (const person of [bob, carol, dave]) directory.knows(person);
    for (const [mine, others] of [
      [DAVE, [BOB, CAROL]],
      [BOB, [CAROL, DAVE]],
    ] as const) {
      const octets = await released(kept(), mine);
      expect(await read(octets, mine)).toMatchObject({ kind: 'opened' });
      for (const other of others) expect(await read(octets, other)).toMatchObject({ kind: 'no-key' });
    }
  });

  it.each([
    ['expired', 'unusable'],
    ['untrusted', 'untrusted'],
    ['revoked', 'revoked'],
  ])('one that is %s is none', async (kind) => {
    const person = kind === 'expired' ? await town.person(BOB, { days: -1 }) : bob;
    directory.knows(person, [], kind === 'untrusted' ? 'harvested' : 'pinned');
    if (kind === 'revoked') {
      standings.set(person.certificate.fingerprint, { kind: 'revoked', why: 'It was stolen.' });
    }
    await send([BOB], [rule({ ...HOLD, minTrust: 'verified' })]);
    expect(holding.waiting).toEqual([BOB]);
    expect(await release(kept())).toMatchObject({
      kind: 'waiting',
      because: expect.stringMatching(
        { expired: /expired/, untrusted: /not trusted enough/, revoked: /It was stolen/ }[kind] ?? /./,
      ),
    });
  });

  it('an outage is no reason to keep it: it is refused for now', async () => {
    directory.trouble = away('directory.unavailable');
    const outcome = await send([BOB], [rule(HOLD)]);
    expect(outcome.reply.lines.join()).toContain('4.4.3');
    expect(holding.held).toEqual([]);
  });

  it('a recipient who is refused keeps all of it from being sent and kept', async () => {
    directory.knows(carol);
    const outcome = await send([BOB, CAROL, DAVE], [ruleFor([DAVE], { encrypt: 'require' }), rule(HOLD)]);
    expect(outcome).toMatchObject({ kind: 'refused', reply: { code: 550 } });
    expect([holding.held, upstream.offered]).toEqual([[], []]);
  });

  it('hides the Subject, from the operator too, where its rule protects it', async () => {
    await send([BOB], [rule({ ...HOLD, subject: 'protect' })]);
    expect(kept().shownSubject).toBeNull();
    directory.knows(bob);
    const octets = await released(kept());
    expect(octets.toString('latin1')).toMatch(/^Subject: \[\.\.\.\]\r$/m);
    const outcome = await read(octets, BOB);
    expect(outcome.kind === 'opened' && outcome.header?.toString()).toContain('Subject: where it lies');
  });

  it.each(['never', 'if-possible'] as const)('unsigned where its rule says so (sign: %s)', async (sign) => {
    keyring = new FakeKeyring([bob]);
    await send([BOB], [rule({ ...HOLD, sign, subject: 'protect' })]);
    expect(kept()).toMatchObject({ headerProtection: { kind: 'cipher', confidentiality: 'baseline' } });
    directory.knows(bob);
    const outcome = await read(await released(kept()), BOB);
    expect(outcome).toMatchObject({ kind: 'opened', verdict: { kind: 'unsigned' } });
    expect(outcome.kind === 'opened' && outcome.header?.toString()).toContain('Subject: where it lies');
  });

  it('takes out what steers before it is signed, and the blind copies’ field', async () => {
    const octets = mail([...HEADER.slice(0, 2), 'Subject: [secret] plans', `Bcc: ${DAVE}`]);
    const tagged = rule({ ...HOLD, stripTag: true });
    await send([BOB], [{ ...tagged, when: { ...tagged.when, subjectTag: ['secret'] } }], { octets });
    expect(kept().shownSubject).toBe('plans');
    expect((await collectFrom(kept().encryptable)).toString()).not.toMatch(/secret\]|Bcc/);
  });

  it('what its mail program has signed waits as it is, and leaves encrypted', async () => {
    const entity = `Content-Type: text/plain\r\n\r\n${WORDS}\r\n`;
    const octets = await town.made(
      ['From: alice@example.org', `To: ${BOB}`, 'Subject: where it lies'],
      entity,
      ...['-sign', '-signer', alice.files.certificateFile, '-inkey', alice.files.keyFile],
    );
    await send([BOB], [rule({ ...ASK, subject: 'protect' })], { octets });
    const { encryptable, readable, headerProtection } = kept();
    expect(await collectFrom(encryptable)).toEqual(octets);
    expect(await inMemory(readable)).toEqual(octets);
    expect(headerProtection).toBeNull();
    directory.knows(bob);
    expect(await read(await released(kept()), BOB)).toMatchObject({ verdict: { kind: 'trusted' } });
  });

  it('keeps what cannot be done from being kept: a key that is away', async () => {
    keyring.signingTrouble = away();
    expect(await send([BOB], [rule(HOLD)])).toMatchObject({ kind: 'refused', reply: { code: 451 } });
    keyring.signingTrouble = null;
    keyring.unseenText = 'The card was never inserted.';
    expect(await send([BOB], [rule(HOLD)])).toMatchObject({ kind: 'refused', reply: { code: 451 } });
    expect(holding.held).toEqual([]);
  });

  it('without a place for it nothing is accepted', async () => {
    const outcome = await send([BOB], [rule(HOLD)], { holding: null });
    expect(outcome).toMatchObject({ kind: 'refused', reply: { code: 451 } });
  });
});

describe('when a mail has waited', () => {
  it('trust and revocation are those of that moment, its terms those of its rule', async () => {
    await send([BOB], [rule({ ...HOLD, minTrust: 'verified', revocation: 'hard' })]);
    directory.knows(bob, [], 'harvested');
    expect(await release(kept())).toMatchObject({
      kind: 'waiting',
      because: expect.stringMatching(/not trusted enough/),
    });
    directory.knows(bob, [], 'verified');
    standings.set(bob.certificate.fingerprint, { kind: 'unchecked', why: 'Nobody answered.', mayPass: true });
    expect(await release(kept())).toMatchObject({ kind: 'later', error: { duration: 'temporary' } });
    standings.set(bob.certificate.fingerprint, { kind: 'revoked', why: 'It was stolen.' });
    expect(await release(kept())).toMatchObject({ kind: 'waiting' });
    standings.delete(bob.certificate.fingerprint);
    expect(await release(kept())).toMatchObject({ kind: 'ready' });
  });

  it('an outage is no "there is none"', async () => {
    await send([BOB], [rule(HOLD)]);
    directory.away = 'The directory of the partner is away.';
    expect(await release(kept())).toMatchObject({ kind: 'later', error: { code: 'directory.unavailable' } });
    directory.trouble = away('directory.unavailable');
    expect(await release(kept())).toMatchObject({ kind: 'later' });
  });

  it('what its rule pins is kept to, and a reader who cannot waits on', async () => {
    const algorithms = { contentEncryption: 'aes256-gcm', keyManagement: null, signature: null } as const;
    await send([BOB], [rule({ ...HOLD, algorithms })]);
    directory.knows(bob, ['2.16.840.1.101.3.4.1.42']);
    expect(await release(kept())).toMatchObject({
      kind: 'waiting',
      because: expect.stringMatching(/reads aes256-cbc/),
    });
    directory.known.clear();
    directory.knows(bob);
    const outcome = await read(await released(kept()), BOB);
    expect(outcome).toMatchObject({
      report: { layers: [{ kind: 'encrypted', algorithm: 'aes256-gcm' }, {}] },
    });
  });

  it('a certificate of the sender that was revoked since gets no copy', async () => {
    await send([BOB], [rule(HOLD)]);
    directory.knows(bob);
    standings.set(alice.certificate.fingerprint, { kind: 'revoked', why: 'It was stolen.' });
    const octets = await released(kept());
    expect(await read(octets, BOB)).toMatchObject({ kind: 'opened' });
    expect(await read(octets, ALICE)).toMatchObject({ kind: 'no-key' });
  });

  it('a long mail is encrypted where it lies, and is in no spool once it has left', async () => {
    await send([BOB], [rule({ ...HOLD, subject: 'protect' })]);
    directory.knows(bob);
    const watched = watchedSpool();
    const ready = await release(kept(), BOB, new Date(), { memoryOctets: 0, spool: watched.spool });
    if (ready.kind !== 'ready') throw new Error(ready.kind);
    expect(watched.left()).toBe(1);
    const octets = await collectFrom(ready.octets);
    expect(octets.toString('latin1')).toContain('Subject: [...]');
    expect(await town.verified(Buffer.from(await town.decrypted(octets, bob), 'latin1'))).toContain(WORDS);
    await ready.discard();
    expect(watched.left()).toBe(0);
  });

  it.each([
    ['damaged', 'queue.damaged', null],
    ['away for now', 'queue.spool', 'later'],
  ] as const)('kept octets that are found %s while they are read', async (_, code, kind) => {
    await send([BOB], [rule(HOLD)]);
    directory.knows(bob);
    const { spool, left } = watchedSpool();
    const { id, from, login, terms, headerProtection, own, encryptable } = kept();
    let reads = 0;
    const failing: OctetSource = {
      length: encryptable.length,
      async *read(start, end) {
        if (++reads > 3) throw away(code);
        yield* encryptable.read(start, end);
      },
    };
    const parts = { directory, clock: () => new Date(), log, memoryOctets: 0, spool };
    const protection = heldProtector(parts)
      .protect({ id, from, login, terms }, recipient(BOB), async () => ({
        ...{ encryptable: failing, headerProtection, own },
      }))
      .catch((error: SealgateError) => error.code);
    if (kind === null) expect(await protection).toBe(code);
    else expect(await protection).toMatchObject({ kind, error: { code } });
    expect(left()).toBe(0);
  });

  it('its content is opened only where there is a certificate', async () => {
    await send([BOB], [rule(HOLD)]);
    const { id, from, login, terms } = kept();
    const protector = heldProtector({ directory, clock: () => new Date(), log });
    const content = async () => {
      throw away('key.unavailable');
    };
    const asked = () => protector.protect({ id, from, login, terms }, recipient(BOB), content);
    expect(await asked()).toMatchObject({ kind: 'waiting' });
    directory.knows(bob);
    await expect(asked()).rejects.toMatchObject({ code: 'key.unavailable' });
  });
});

describe('ask', () => {
  it('keeps what its sender may send signed only, and says that she is asked', async () => {
    const outcome = await send([BOB], [rule({ ...ASK, subject: 'protect' })]);
    expect(outcome.reply.lines.join()).toContain('You are asked by mail what to do.');
    const { readable, terms } = kept();
    expect(terms).toMatchObject({ ask: true, subject: 'protect' });
    const signed = await inMemory(readable);
    expect(signed.toString()).toMatch(/^Subject: where it lies\r$/m);
    expect(await town.verified(signed)).toContain(WORDS);
  });

  it('of a mail without a return path nobody is asked, and nobody is said to be', async () => {
    const outcome = await send([BOB], [rule(ASK)], { reversePath: null });
    expect(outcome.reply.lines.join()).toMatch(/Kept until it can be encrypted to bob@example\.org\. \(mail/);
  });

  it('offers nothing that is not signed', async () => {
    keyring = new FakeKeyring([bob]);
    await send([BOB], [rule({ ...ASK, sign: 'if-possible' })]);
    expect(kept().readable).toBeNull();
  });
});

describe('an introduction', () => {
  it('is a signed note of the sender to the one who waits, without anything of the mail', async () => {
    await send([BOB], [rule({ ...HOLD, introduce: true })]);
    const note = kept().introduction ?? Buffer.of();
    const text = note.toString();
    expect(text).toMatch(/^From: Alice <alice@example\.org>\r$/m);
    expect(text).toMatch(/^To: <bob@example\.org>\r$/m);
    expect(text).toMatch(/^Auto-Submitted: auto-generated\r$/m);
    expect(text).not.toMatch(/where it lies|boathouse/);
    expect(await town.verified(note)).toContain('waits');
    expect(await read(note, BOB)).toMatchObject({ verdict: { kind: 'trusted' } });
  });

  it('does not tell several of each other', async () => {
    await send([BOB, CAROL, DAVE], [rule({ ...HOLD, introduce: true })]);
    expect(kept().introduction?.toString()).toMatch(/^To: undisclosed-recipients:;\r$/m);
    expect(kept().introduction?.toString()).not.toMatch(/bob@|carol@|dave@/);
  });

  it('is none where nobody can sign it', async () => {
    keyring = new FakeKeyring([bob]);
    await send([BOB], [rule({ ...HOLD, sign: 'if-possible', introduce: true })]);
    expect(kept().introduction).toBeNull();
  });
});

describe('some leave and some wait', () => {
  const mixed = [ruleFor([CAROL], { encrypt: 'never' }), rule(HOLD)];

  it('what leaves goes first, and the mail server’s reply is the client’s', async () => {
    const order: string[] = [];
    const deliver = upstream.deliver.bind(upstream);
    upstream.deliver = async (variant) => {
      order.push(...variant.recipients.map(textOf));
      return deliver(variant);
    };
    const hold = holding.hold.bind(holding);
    holding.hold = async (mails) => {
      order.push('kept');
      return hold(mails);
    };
    directory.knows(dave);
    const outcome = await send([BOB, CAROL, DAVE], mixed);
    expect(order).toEqual([DAVE, CAROL, 'kept']);
    expect(outcome).toEqual({ kind: 'accepted', reply: ACCEPTED.kind === 'accepted' && ACCEPTED.reply });
    expect(holding.waiting).toEqual([BOB]);
    expect(delivered.keys.size).toBe(0);
  });

  it.each([TEMPORARY, PERMANENT, LOST])('nothing is kept where nothing has left: %j', async (told) => {
    upstream = new FakeUpstream(told);
    expect((await send([BOB, CAROL], mixed)).kind).toBe('refused');
    expect(holding.held).toEqual([]);
  });

  it('where it cannot be kept, the client is told who has it, and its retry brings the rest', async () => {
    holding.trouble = away('holding.unavailable');
    const first = await send([BOB, CAROL], mixed);
    expect(first).toMatchObject({ kind: 'refused', reply: { code: 451 } });
    expect(first.reply.lines.join()).toMatch(
      /Sent to carol@example\.org, but not to bob@example\.org: the gateway could not keep it/,
    );
    holding.trouble = null;
    const second = await send([BOB, CAROL], mixed);
    expect(second.kind).toBe('accepted');
    expect(second.reply.lines.join()).toContain('Kept until it can be encrypted to bob@example.org');
    expect(upstream.served).toEqual([CAROL]);
    expect(holding.waiting).toEqual([BOB]);
    expect(delivered.keys.size).toBe(0);
  });

  it('where nobody has it and it cannot be kept, that is the reply', async () => {
    holding.trouble = away('holding.unavailable', 'The disk is full.');
    const outcome = await send([BOB], [rule(HOLD)]);
    expect(outcome.reply).toMatchObject({ code: 451, lines: [expect.stringContaining('The disk is full.')] });
  });

  it('nobody waits twice, or waits and is served, because her address is spelt in several ways', async () => {
    const spellings = [BOB, '"bob"@example.org', 'bob@EXAMPLE.org'];
    await send([...spellings, CAROL, '"carol"@Example.org'], mixed);
    expect(holding.waiting).toEqual([BOB]);
    expect(upstream.served).toEqual([CAROL]);
    holding.held.length = 0;
    directory.knows(bob);
    await send(spellings, [rule(HOLD)]);
    expect(holding.held).toEqual([]);
    expect(upstream.served).toEqual([BOB, CAROL]);
  });

  it('what waits under different terms is one mail, and is kept all at once', async () => {
    const calls: number[] = [];
    const hold = holding.hold.bind(holding);
    holding.hold = async (mails) => {
      calls.push(mails.length);
      return hold(mails);
    };
    await send([BOB, CAROL], [ruleFor([CAROL], ASK), rule(HOLD)]);
    expect(calls).toEqual([2]);
    expect(new Set(holding.held.map(({ id }) => id)).size).toBe(1);
    expect(holding.held.map(({ terms }) => terms.ask)).toEqual([false, true]);
    // One signature for both that are alike, and one for what may be sent readable.
    expect(keyring.signatures).toBe(2);
  });
});
