import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SigningKey } from '../../src/cms/keys.ts';
import { SealgateError } from '../../src/errors.ts';
import { createKeyring, type LiveKeys } from '../../src/hsm/keyring.ts';
import { RateLimit } from '../../src/hsm/rate-limit.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import type { SubmissionOutcome } from '../../src/pipeline/ports.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { liveKeys } from '../support/live-keys.ts';
import { type Person, Town } from './support/people.ts';
import {
  FakeDelivered,
  FakeDirectory,
  FakeLog,
  FakeUpstream,
  mail,
  rule,
  submission,
} from './support/ports.ts';

/** What the sender reads in the reply when a key does not sign, through the real keyring. Nothing ever leaves unsigned for it. */

const [ALICE, BOB] = ['alice@example.org', 'bob@example.org'];
const CARD_OUT = 'The card “Alice Lidell” is not in the reader; insert it and send again.';

let town: Town;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  town = await Town.found();
  [alice, bob] = await Promise.all([town.person(ALICE), town.person(BOB)]);
});
afterAll(() => town?.end());

let directory: FakeDirectory;
let upstream: FakeUpstream;
let now: Date;
beforeEach(() => {
  directory = new FakeDirectory();
  upstream = new FakeUpstream();
  now = new Date();
});

async function send(keys: LiveKeys, rules: Partial<Rule> = {}): Promise<SubmissionOutcome> {
  const log = new FakeLog();
  const clock = () => now;
  const principals = [{ login: ALICE, addresses: [ALICE], keys: ['card'] }];
  const keyring = createKeyring({ principals, loginIsAddress: false, keys, log, clock });
  const story = outboundStory({
    ...{ keyring, directory, log, clock, delivered: new FakeDelivered() },
    rules: [rule(rules)],
  });
  const octets = mail([`From: ${ALICE}`, `To: ${BOB}`, 'Subject: s']);
  return story.submit(submission(ALICE, [BOB], octets), upstream);
}

/** Keys called `card`, which sign as `sign` says. */
function card(person: Person, sign: SigningKey['sign'] = person.signing.sign): LiveKeys {
  const { signing, decryption } = person;
  return liveKeys([{ ...signing, label: 'card', sign }], [{ ...decryption, label: 'card' }]);
}

function failing(code: string, duration: 'temporary' | 'permanent', publicText: string): LiveKeys {
  return card(alice, () => Promise.reject(new SealgateError({ code, duration, publicText })));
}

function unseen(text: string): LiveKeys {
  return { ...liveKeys([], []), unseen: new Map([['card', text]]) };
}

const DEMANDS = ['require', 'if-possible'] as const;

describe.each(DEMANDS)('under sign: %s', (sign) => {
  it.each([
    ['the card is out', 'key.unavailable', 'temporary', CARD_OUT, 451, '4.7.5'],
    ['nobody typed the PIN', 'key.pin-needed', 'temporary', 'The PIN was not typed in time.', 451, '4.7.5'],
    ['the PIN was wrong', 'key.pin-incorrect', 'permanent', 'The PIN is wrong; 2 tries left.', 554, '5.7.5'],
    ['the PIN is blocked', 'key.pin-locked', 'permanent', 'The PIN is blocked; unblock it.', 554, '5.7.5'],
    ['the key does no such signature', 'key.refused', 'permanent', 'It does not sign.', 554, '5.7.5'],
  ] as const)(
    '%s: refused in these words, and nothing leaves',
    async (_, code, duration, text, reply, enhanced) => {
      const outcome = await send(failing(code, duration, text), { sign });
      expect(outcome.kind).toBe('refused');
      expect(outcome.reply.code).toBe(reply);
      const plain = text.replace(/[“”]/g, '"');
      expect(outcome.reply.lines[0]).toContain(
        `${enhanced} The mail from ${ALICE} could not be signed and was not sent. ${plain} (mail `,
      );
      expect(upstream.offered).toEqual([]);
    },
  );

  it('the card was never there: temporary, since nobody knows what is on it', async () => {
    const { kind, reply } = await send(unseen('The card “Alice” was never inserted; insert it.'), { sign });
    expect({ kind, code: reply.code }).toEqual({ kind: 'refused', code: 451 });
    expect(reply.lines[0]).toMatch(
      /^4\.7\.5 To bob@example\.org: .*was never inserted; insert it\. .*send the mail again/,
    );
    expect(upstream.offered).toEqual([]);
  });

  it('another card is in the reader: temporary, as if none were', async () => {
    const former = [
      { source: 'card', name: 'Signature', label: 'card/Signature', certificate: alice.certificate },
    ];
    for (const there of [card(bob), liveKeys([], [{ ...alice.decryption, label: 'card' }])]) {
      const { kind, reply } = await send({ ...there, former }, { sign });
      expect({ kind, code: reply.code }).toEqual({ kind: 'refused', code: 451 });
      expect(reply.lines[0]).toMatch(
        /^4\.7\.5 .*The card that signs for alice@example\.org is not in its reader/,
      );
    }
    expect(upstream.offered).toEqual([]);
  });

  it('the key was used too often: temporary', async () => {
    const limit = new RateLimit(1, () => now);
    const keys = card(alice, async (...operation) => {
      limit.take('card');
      return alice.signing.sign(...operation);
    });
    expect((await send(keys, { sign })).kind).toBe('accepted');
    const { reply } = await send(keys, { sign });
    expect(reply.code).toBe(451);
    expect(reply.lines[0]).toMatch(/^4\.7\.0 .*has been used 1 times within a minute/);
    expect(upstream.taken).toHaveLength(1);
  });
});

describe('the login has no key that signs for the address', () => {
  it('the certificate is for another one: both are named, and 5.7.1', async () => {
    const { reply } = await send(card(bob));
    expect(reply.code).toBe(550);
    expect(reply.lines[0]).toMatch(
      /^5\.7\.1 .*certificate is for bob@example\.org and the mail is from alice@example\.org/,
    );
    expect(upstream.offered).toEqual([]);
  });

  it('the certificate has expired: its last day is said', async () => {
    now = new Date(alice.certificate.notAfter.getTime() + 86_400_000);
    const { reply } = await send(card(alice));
    expect(reply.code).toBe(554);
    expect(reply.lines[0]).toContain(alice.certificate.notAfter.toISOString().slice(0, 10));
    expect(reply.lines[0]).toMatch(/^5\.7\.5 .*expired/);
  });

  it.each([
    ['another address', () => card(bob)],
    ['no signature at all', () => liveKeys([], [{ ...alice.decryption, label: 'card' }])],
  ])('under if-possible, with a key for %s, it leaves unsigned, as the rule says', async (_, keys) => {
    expect((await send(keys(), { sign: 'if-possible' })).kind).toBe('accepted');
    expect(upstream.messageFor(BOB).toString()).not.toContain('multipart/signed');
  });
});

describe('the copy that an encrypted mail has for its sender', () => {
  it('waits for a card that was never there', async () => {
    directory.knows(bob);
    const { reply } = await send(unseen('The card “Alice” was never inserted; insert it.'), {
      sign: 'never',
      encrypt: 'require',
    });
    expect(reply.code).toBe(451);
    expect(reply.lines[0]).toMatch(/^4\.7\.5 The card "Alice" was never inserted/);
    expect(upstream.offered).toEqual([]);
  });

  it('does not need the card itself', async () => {
    directory.knows(bob);
    const outcome = await send(failing('key.unavailable', 'temporary', CARD_OUT), {
      sign: 'never',
      encrypt: 'require',
    });
    expect(outcome.kind).toBe('accepted');
    expect(await town.decrypted(upstream.messageFor(BOB), alice)).toContain('the boathouse key');
  });
});

it('attack: words on a card cannot end the reply and begin another one', async () => {
  const { reply } = await send(
    failing('key.unavailable', 'temporary', 'The card “\r\n250 2.0.0 sent” is out.'),
  );
  expect(reply.lines).toHaveLength(1);
  expect(reply.lines[0]).not.toMatch(/[\r\n]/);
});
