import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { createLog } from '../../src/log/pino-log.ts';
import { type OutboundParts, outboundStory } from '../../src/pipeline/outbound.ts';
import type { SubmissionOutcome } from '../../src/pipeline/ports.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { mayCertificateEncrypt } from '../../src/pki/key-purpose.ts';
import { ownCapabilities } from '../../src/smime/capabilities.ts';
import { ALWAYS } from '../policy/always.ts';
import { parsePem } from '../smime/support/pem.ts';
import { principalNamed } from '../support/principal.ts';
import { type Person, Town } from './support/people.ts';
import {
  ACCEPTED,
  away,
  FakeDelivered,
  FakeDirectory,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  mail,
  rule,
  ruleFor,
  submission,
  TEMPORARY,
  textOf,
} from './support/ports.ts';

const ALICE = 'alice@example.org';
const [BOB, CAROL, DAVE, ERIN] = [
  'bob@example.org',
  'carol@example.org',
  'dave@example.org',
  'erin@example.org',
];
const WORDS = 'the boathouse key';

let town: Town;
let alice: Person;
let bob: Person;
let carol: Person;
let dave: Person;
beforeAll(async () => {
  town = await Town.found();
  alice = await town.person(ALICE, { keyType: 'rsa-2048' });
  [bob, carol, dave] = (await Promise.all([BOB, CAROL, DAVE].map((address) => town.person(address)))) as [
    Person,
    Person,
    Person,
  ];
});
afterAll(() => town?.end());

let keyring: FakeKeyring;
let directory: FakeDirectory;
let log: FakeLog;
let delivered: FakeDelivered;
let upstream: FakeUpstream;
beforeEach(() => {
  keyring = new FakeKeyring([alice]);
  directory = new FakeDirectory();
  log = new FakeLog();
  delivered = new FakeDelivered();
  upstream = new FakeUpstream();
});

function story(changes: Partial<OutboundParts> = {}) {
  return outboundStory({
    keyring,
    directory,
    delivered,
    rules: [rule()],
    clock: () => new Date(),
    log,
    ...changes,
  });
}

function header(to: readonly string[], ...more: readonly string[]): string[] {
  return [`From: ${ALICE}`, `To: ${to.join(', ')}`, 'Subject: keys', ...more];
}

/** alice sends; `to` is the envelope. */
function send(
  to: readonly string[],
  octets: Buffer,
  changes: Partial<OutboundParts> = {},
): Promise<SubmissionOutcome> {
  return story(changes).submit(submission(ALICE, to, octets), upstream);
}

describe('a mail that rules protect', () => {
  it('to one with a certificate is signed and encrypted, and OpenSSL reads and verifies it', async () => {
    directory.knows(bob);
    const outcome = await send([BOB], mail(header([BOB])));
    expect(outcome.kind).toBe('accepted');
    const octets = upstream.messageFor(BOB);
    expect(octets.toString()).not.toContain(WORDS);
    expect(await town.verified(Buffer.from(await town.decrypted(octets, bob), 'latin1'))).toContain(WORDS);
  });

  it('is encrypted to its sender as well', async () => {
    directory.knows(bob);
    await send([BOB], mail(header([BOB])));
    expect(await town.decrypted(upstream.messageFor(BOB), alice)).toContain(WORDS);
  });

  it('of a sender without a certificate to encrypt to is encrypted to the recipients alone', async () => {
    directory.knows(bob);
    keyring = new FakeKeyring([]);
    const outcome = await send([BOB], mail(header([BOB])), {
      rules: [rule({ sign: 'never', encrypt: 'require' })],
    });
    expect(outcome.kind).toBe('accepted');
    expect(await town.decrypted(upstream.messageFor(BOB), bob)).toContain(WORDS);
  });

  it('to one without is signed, and goes in clear', async () => {
    await send([BOB], mail(header([BOB])));
    expect(await town.verified(upstream.messageFor(BOB))).toContain(WORDS);
  });

  it('in one form is signed by one operation of the key for all encrypted variants, and one for all others', async () => {
    for (const one of [bob, carol, dave]) directory.knows(one);
    await send([BOB, CAROL, DAVE, ERIN], mail(header([BOB])));
    expect(upstream.taken).toHaveLength(4);
    expect(keyring.signatures).toBe(2);
  });

  it('in two forms by two', async () => {
    await send([BOB, CAROL, DAVE], mail(header([BOB, CAROL, DAVE])), {
      rules: [ruleFor([BOB], { form: 'opaque' }), rule()],
    });
    expect(keyring.signatures).toBe(2);
    expect(upstream.messageFor(BOB).toString()).toContain('smime-type=signed-data');
    expect(upstream.messageFor(CAROL).toString()).toContain('multipart/signed');
  });

  it.each([
    ['all say that they read GCM', [ownCapabilities, ownCapabilities], 'authEnveloped-data'],
    ['one does not', [ownCapabilities, []], 'enveloped-data'],
    ['nobody does', [[], []], 'enveloped-data'],
  ])('is GCM only if all recipients can read that: %s', async (_, [ofBob, ofCarol], type) => {
    directory.knows(bob, ofBob).knows(carol, ofCarol);
    await send([BOB, CAROL], mail(header([BOB, CAROL])));
    expect(upstream.taken).toHaveLength(1);
    expect(upstream.messageFor(BOB).toString()).toContain(`smime-type=${type}`);
    expect(await town.decrypted(upstream.messageFor(BOB), carol)).toContain(WORDS);
  });

  it('takes the certificate the rule trusts enough and not a newer one of less trust', async () => {
    const impostor = await town.person(BOB);
    directory.knows(impostor, [], 'harvested').knows(bob, [], 'verified');
    await send([BOB], mail(header([BOB])), { rules: [rule({ minTrust: 'verified' })] });
    expect(await town.decrypted(upstream.messageFor(BOB), bob)).toContain(WORDS);
    await expect(town.decrypted(upstream.messageFor(BOB), impostor)).rejects.toThrow();
  });

  it('never uses a certificate that names another mailbox or cannot encrypt, whatever the directory says', async () => {
    const signsOnly = await town.person(BOB, { use: 'sign' });
    directory.known.set(
      BOB,
      [carol, signsOnly].map(({ certificate }) => ({
        ...{ certificate, trust: 'pinned', capabilities: [], source: 'file' },
      })),
    );
    const { reply } = await send([BOB], mail(header([BOB])), { rules: [rule({ encrypt: 'require' })] });
    expect(reply.code).toBe(550);
    expect(upstream.offered).toEqual([]);
  });
});

describe('blind copies', () => {
  beforeEach(() => {
    for (const one of [bob, carol, dave]) directory.knows(one);
  });

  it('get messages of their own, which only they and the sender can read', async () => {
    await send([BOB, CAROL, DAVE], mail(header([BOB])));
    expect(upstream.taken.map(({ recipients }) => recipients.length)).toEqual([1, 1, 1]);
    for (const [address, other] of [
      [BOB, carol],
      [CAROL, dave],
      [DAVE, bob],
    ] as const) {
      await expect(town.decrypted(upstream.messageFor(address), other)).rejects.toThrow();
      expect(await town.decrypted(upstream.messageFor(address), alice)).toContain(WORDS);
    }
  });

  it('share the one message of those who are not encrypted to, which names nobody', async () => {
    directory.known.clear();
    directory.knows(bob);
    await send([BOB, CAROL, DAVE, ERIN], mail(header([BOB], `Cc: ${DAVE}`)));
    expect(upstream.taken.map(({ recipients }) => recipients.map(textOf).sort())).toEqual([
      [BOB],
      [CAROL, DAVE, ERIN],
    ]);
    expect(upstream.messageFor(CAROL).toString()).not.toContain(CAROL);
  });

  it.each([
    ['Bcc', [`Bcc: ${CAROL}`]],
    ['folded, in other letters, and twice', [`bCC: x@example.org,\r\n ${CAROL}`, `BCC: ${DAVE}`]],
    ['Resent-Bcc', [`Resent-Bcc: ${CAROL}`]],
    ['an empty one', ['Bcc:']],
  ])('are named in no header that leaves: %s', async (_, fields) => {
    const octets = mail(header([BOB], ...fields, 'X-Last: kept'));
    for (const rules of [[rule()], [rule({ sign: 'never', encrypt: 'never' })]]) {
      upstream = new FakeUpstream();
      const to = [BOB, CAROL];
      expect((await send(to, octets, { rules })).kind).toBe('accepted');
      for (const address of to) {
        const text = upstream.messageFor(address).toString();
        expect(text).not.toMatch(/bcc:/i);
        expect(text).not.toContain(CAROL);
        expect(text).toMatch(/Subject: keys\r\nX-Last: kept\r\n/);
      }
    }
  });

  it('are named in no mail that the client has protected either, and its signature stays good', async () => {
    const signed = await town.made(
      header([BOB], `Bcc: ${CAROL}`),
      `Content-Type: text/plain\r\n\r\n${WORDS}\r\n`,
      ...['-sign', '-signer', alice.files.certificateFile, '-inkey', alice.files.keyFile],
    );
    await send([BOB, CAROL], signed, { rules: [rule({ encrypt: 'never' })] });
    const octets = upstream.messageFor(BOB);
    expect(octets.toString()).not.toContain(CAROL);
    expect(await town.verified(octets)).toContain(WORDS);
    expect(keyring.signatures).toBe(0);
  });

  it.each([
    ['a blank before the colon', header([BOB], `Bcc : ${CAROL}`)],
    ['a blank before the first line', [` Bcc: ${CAROL}`, ...header([BOB])]],
  ])('a field that only some readers take for Bcc is refused: %s', async (_, fields) => {
    const { reply } = await send([BOB, CAROL], mail(fields), {
      rules: [rule({ sign: 'never', encrypt: 'never' })],
    });
    expect(reply.code).toBe(554);
    expect(reply.lines[0]).toMatch(/^5\.6\.0 .*Bcc/);
    expect(upstream.offered).toEqual([]);
  });

  it('a mail without such a field and without protection leaves octet for octet', async () => {
    const octets = mail(header([BOB], 'X-Odd:   \t spaces  '), 'Grüße\r\n.\r\n');
    await send([BOB], octets, { rules: [rule({ sign: 'never', encrypt: 'never' })] });
    expect(upstream.messageFor(BOB).equals(octets)).toBe(true);
  });

  it('to somebody twice in the envelope brings one copy', async () => {
    await send([BOB, CAROL, `"carol"@EXAMPLE.org`, CAROL], mail(header([BOB])));
    expect(upstream.served).toEqual([BOB, CAROL]);
  });
});

describe('recipients in To and Cc share a message', () => {
  it.each([
    ['domain in other letters', 'bob@EXAMPLE.org', BOB],
    ['needless quotes', '"bob"@example.org', BOB],
    ['a domain as U-labels and as A-labels', 'bob@bücher.example', 'bob@xn--bcher-kva.example'],
  ])('also where To and envelope differ in spelling: %s', async (_, envelope, field) => {
    await send([envelope, CAROL], mail(header([field], `Cc: ${CAROL}`)));
    expect(upstream.taken).toHaveLength(1);
  });

  it('a rule for a mailbox is not evaded by quotes around it', async () => {
    const { reply } = await send(['"bob"@example.org'], mail(header([BOB])), {
      rules: [ruleFor([BOB], { encrypt: 'require' }), rule({ encrypt: 'never' })],
    });
    expect(reply.code).toBe(550);
    expect(upstream.offered).toEqual([]);
  });
});

describe('fails closed', () => {
  const strict = { rules: [rule({ encrypt: 'require' })] };

  it.each([
    [
      'the token is away when keys are asked for',
      () => {
        keyring.signingTrouble = away();
      },
      451,
      /4\.7\.5 .*token/,
    ],
    ['there is no key', () => (keyring = new FakeKeyring([])), 554, /5\.7\.5 /],
    ['the directory is away', () => (directory.trouble = away('directory.unavailable')), 451, /4\.4\.3 /],
    ['the directory has a defect', () => (directory.trouble = new TypeError('x')), 451, /4\.4\.3 /],
    ['there is no certificate', () => directory.known.clear(), 550, /5\.7\.1 .*bob@example\.org/],
    [
      'the own certificate is on a card nobody has seen',
      () => {
        keyring.unseenText = 'Insert the card.';
      },
      451,
      /4\.7\.5 Insert the card\./,
    ],
    [
      'the keyring has a defect',
      () => {
        keyring.signingTrouble = new TypeError('x');
      },
      451,
      /4\.3\.0 /,
    ],
    [
      'the keyring has another',
      () => {
        keyring.decryptionTrouble = new TypeError('x');
      },
      451,
      /4\.3\.0 /,
    ],
    ['the memory is away', () => (delivered.trouble.has = away('store.unavailable')), 451, /4\.3\.0 /],
  ] as const)('%s', async (_, breakIt, code, text) => {
    directory.knows(bob).knows(carol);
    breakIt();
    const { kind, reply } = await send([BOB, CAROL], mail(header([BOB, CAROL])), strict);
    expect(kind).toBe('refused');
    expect(reply.code).toBe(code);
    expect(reply.lines[0]).toMatch(text);
    expect(reply.lines[0]).toMatch(/\(mail [0-9a-z]{20}\)$/);
    expect(upstream.offered).toEqual([]);
    expect(log.named('mail.refused')).toHaveLength(1);
  });

  it('when the key goes away while it signs', async () => {
    const [key] = await keyring.signingKeys(principalNamed(ALICE), ALICE);
    if (key === undefined) throw new Error('no key');
    keyring.signingKeys = async () => [{ ...key, sign: () => Promise.reject(away()) }];
    const { reply } = await send([BOB], mail(header([BOB])));
    expect(reply.lines[0]).toMatch(
      /^4\.7\.5 The mail from alice@example\.org could not be signed and was not sent\. The token is not there\. \(mail/,
    );
    expect(reply.code).toBe(451);
    expect(upstream.offered).toEqual([]);
    expect(log.named('mail.refused')[0]?.reason).toContain('CKR_DEVICE_REMOVED');
  });

  it.each(['addressesOf', 'clock', 'rules'] as const)(
    'a defect in %s is a 451, a stack in the log, and nothing leaves',
    async (place) => {
      const oops = () => {
        throw new TypeError('oops');
      };
      if (place === 'addressesOf') keyring.addressesOf = oops;
      const changes: Partial<OutboundParts> =
        place === 'clock'
          ? { clock: oops }
          : place === 'rules'
            ? { rules: new Proxy([], { get: oops }) }
            : {};
      const { reply } = await send([BOB], mail(header([BOB])), changes);
      expect(reply.code).toBe(451);
      expect(reply.lines[0]).toMatch(/^4\.3\.0 The gateway could not process this message/);
      expect(log.named('gateway.defect')[0]?.error).toContain('oops');
      expect(upstream.offered).toEqual([]);
    },
  );

  it('one recipient of many who cannot be encrypted to stops the mail for all', async () => {
    directory.knows(bob);
    const { reply } = await send([BOB, CAROL, DAVE], mail(header([BOB], `Cc: ${CAROL}`)), strict);
    expect(reply.code).toBe(550);
    expect(reply.lines[0]).toMatch(/carol@example\.org and dave@example\.org/);
    expect(upstream.offered).toEqual([]);
  });

  it('a certificate on a curve that mail is not encrypted to is a refusal that names recipient and curve', async () => {
    directory.knows(bob);
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const certificate = parsePem(await town.pki.issueForPublicKey(pem, { address: CAROL }));
    directory.known.set(CAROL, [{ certificate, trust: 'pinned', capabilities: [], source: 'file' }]);
    const { reply } = await send([BOB, CAROL], mail(header([BOB])), strict);
    expect(reply.lines[0]).toMatch(/^5\.7\.1 To carol@example\.org: .*secp256k1.*Nothing was sent/);
    expect(upstream.offered).toEqual([]);
  });

  it('a certificate that turns out to be useless stops the mail before anybody has it', async () => {
    directory.knows(bob);
    let broken = false;
    const certificate: Certificate = Object.create(carol.certificate, {
      publicKey: {
        get() {
          if (broken) {
            throw new SealgateError({ code: 'pki.unsupported-key', publicText: '-', duration: 'permanent' });
          }
          return carol.certificate.publicKey;
        },
      },
    });
    // Judged while it is good; what is known of a key is not asked again.
    expect(mayCertificateEncrypt(certificate, new Date()).kind).toBe('may');
    broken = true;
    directory.known.set(CAROL, [{ certificate, trust: 'pinned', capabilities: [], source: 'file' }]);
    const { reply } = await send([BOB, CAROL], mail(header([BOB])));
    expect(reply.code).toBe(554);
    expect(upstream.offered).toEqual([]);
  });

  it.each([
    ['a line that is no field', mail(header([BOB], 'this is no field'))],
    ['two Content-Type fields', mail(header([BOB], 'Content-Type: text/plain', 'Content-Type: text/html'))],
    ['a header beyond the bounds', mail(header([BOB], `X-Long: ${'a'.repeat(300_000)}`))],
  ])('a message that cannot be read without doubt is a 554 5.6.0: %s', async (_, octets) => {
    const { reply } = await send([BOB], octets);
    expect(reply.code).toBe(554);
    expect(reply.lines[0]).toMatch(/^5\.6\.0 /);
    expect(upstream.offered).toEqual([]);
  });

  it('an empty message has no sender: 550', async () => {
    expect((await send([BOB], Buffer.alloc(0))).reply.code).toBe(550);
  });
});

describe('the directory', () => {
  it('is not asked where no rule encrypts, so its outage stops nothing there', async () => {
    directory.trouble = away('directory.unavailable');
    const rules = [ruleFor([CAROL], { encrypt: 'require' }), rule({ encrypt: 'never' })];
    expect((await send([BOB], mail(header([BOB])), { rules })).kind).toBe('accepted');
    expect(directory.lookups).toEqual([]);
    expect((await send([BOB, CAROL], mail(header([BOB])), { rules })).reply.code).toBe(451);
  });

  it('is asked where only the sender decides, as he is not known at RCPT', async () => {
    directory.knows(bob);
    const when = { ...ALWAYS, sender: [ALICE] };
    await send([BOB], mail(header([BOB])), {
      rules: [rule({ name: 'alice', when, encrypt: 'require' }), rule({ encrypt: 'never' })],
    });
    expect(upstream.taken[0]?.protection.encrypted).toBe(true);
  });
});

describe('a partial hand-over', () => {
  it('is a 451, and the retry of the client brings the rest with what is known by then', async () => {
    directory.knows(bob);
    const octets = mail(header([BOB, ERIN]));
    upstream = new FakeUpstream(ACCEPTED, TEMPORARY);
    const first = await send([BOB, ERIN], octets);
    expect(first.reply.lines[0]).toContain('Sent to bob@example.org, but not to erin@example.org');
    upstream = new FakeUpstream();
    expect((await send([BOB, ERIN], octets)).kind).toBe('accepted');
    expect(upstream.served).toEqual([ERIN]);
  });

  it('of many blind copies makes each message only when the one before has gone: they are never in memory together', async () => {
    for (const one of [bob, carol, dave]) directory.knows(one);
    await send([BOB, CAROL, DAVE], mail(header([ERIN])));
    const order = log.events.map(({ event }) => event).filter((event) => event !== 'key.used');
    expect(order).toEqual(Array.from({ length: 3 }, () => ['mail.protected', 'mail.handed-over']).flat());
  });
});

describe('what is logged', () => {
  it('says of each variant by which rule it is protected how, and what the upstream said', async () => {
    directory.knows(bob);
    await send([BOB, ERIN], mail(header([BOB, ERIN])), {
      rules: [ruleFor([BOB], { name: 'friends' }), rule()],
    });
    expect(log.named('mail.protected')).toMatchObject([
      { rule: 'friends', signed: true, encrypted: true, recipients: 1 },
      { rule: 'all', signed: true, encrypted: false, recipients: 1 },
    ]);
    expect(log.named('mail.handed-over')).toMatchObject([
      { listener: 'submission', recipients: 1, reply: '250 2.0.0 queued as 7' },
      { listener: 'submission', recipients: 1, reply: '250 2.0.0 queued as 7' },
    ]);
  });

  it('tells nothing of subject, body or blind copies of a mail that went', async () => {
    directory.knows(bob);
    await send([BOB, CAROL], mail(header([BOB])));
    for (const format of ['json', 'text'] as const) {
      let lines = '';
      const printed = createLog({ level: 'debug', format, stream: { write: (line) => (lines += line) } });
      for (const event of log.events) printed.write(event);
      expect(lines).toContain('mail.handed-over');
      for (const secret of ['keys', WORDS, BOB, CAROL]) expect(lines).not.toContain(secret);
    }
  });
});
