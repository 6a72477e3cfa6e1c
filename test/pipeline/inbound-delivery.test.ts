import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { deliveredView } from '../../src/mail-view/delivered.ts';
import { viewNames } from '../../src/mail-view/view-names.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import { type InboundDeliveryParts, inboundDelivery } from '../../src/pipeline/inbound-delivery.ts';
import type { InboundStory, Submission, SubmissionOutcome } from '../../src/pipeline/ports.ts';
import { tracedStory } from '../../src/pipeline/trace.ts';
import { principalNamed } from '../support/principal.ts';
import { type Person, Town } from './support/people.ts';
import {
  away,
  FakeDelivered,
  FakeDirectory,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  submission,
  textOf,
} from './support/ports.ts';

/** What is delivered of mail that arrives, and to whom. */

const ALICE = 'alice@elsewhere.test';
const [BOB, CAROL, DAVE] = ['bob@example.org', 'carol@example.org', 'dave@example.org'] as const;
const HEADER = [`From: ${ALICE}`, `To: ${BOB}`, 'Subject: to be read'];
const ENTITY = 'Content-Type: text/plain\r\n\r\nthe boathouse key\r\n';
const NAMES = viewNames('abcdef123456', 'gateway.test');

let town: Town;
let alice: Person;
let bob: Person;
let carol: Person;
beforeAll(async () => {
  town = await Town.found();
  [alice, bob, carol] = (await Promise.all(
    [ALICE, BOB, CAROL].map((address) => town.person(address, { keyType: 'rsa-2048' })),
  )) as [Person, Person, Person];
});
afterAll(() => town?.end());

let keyring: FakeKeyring;
let directory: FakeDirectory;
let log: FakeLog;
let server: FakeUpstream;
let delivered: FakeDelivered;
beforeEach(() => {
  keyring = new FakeKeyring([bob, carol]);
  directory = new FakeDirectory();
  log = new FakeLog();
  server = new FakeUpstream();
  delivered = new FakeDelivered();
});

const clock = () => new Date('2026-11-22T10:00:00Z');
const readers = (owners: readonly string[]) => (address: string) =>
  owners.includes(address) ? [principalNamed(address)] : [];

function deliver(mail: Submission, changes: Partial<InboundDeliveryParts> = {}): Promise<SubmissionOutcome> {
  const inbound = {
    keyring,
    directory,
    anchors: [town.anchor],
    intermediates: [],
    clock: () => new Date(),
    log,
  };
  const view = {
    ...{ names: NAMES, secret: Buffer.alloc(32), spool: encryptedSpool() },
    policy: { unauthenticated: 'warn', protectedHeaders: 'promote' },
  } as const;
  const nothing = { find: async () => [], harvest: async () => undefined };
  const story = inboundDelivery({
    ...{ story: inboundStory(inbound), unlearning: inboundStory({ ...inbound, directory: nothing }) },
    view: { render: (request) => deliveredView(request, view) },
    ...{ keyAway: 'defer', delivered, log, replyToEach: false },
    readersOf: readers([BOB, CAROL]),
    ...changes,
  });
  return tracedStory(story, clock).submit(mail, server);
}

function arrives(to: readonly string[], octets: Buffer, changes: Partial<Submission> = {}): Submission {
  const usual = submission(ALICE, to, octets);
  const arrival = { hostname: 'gateway.test', helo: 'mx.elsewhere.test', protocol: 'ESMTPS' };
  return {
    ...usual,
    origin: { ...usual.origin, listener: 'mx', principal: principalNamed(''), arrival },
    ...changes,
  };
}

/** What each got, without the trace field. */
async function received(): Promise<Map<string, string>> {
  const got = new Map<string, string>();
  for (const { recipients, octets } of server.taken) {
    const text = (await collectFrom(octets)).toString('latin1');
    const [trace = ''] = /^Received: from .*\r\n(?:\t.*\r\n)*/.exec(text) ?? [];
    expect(trace).not.toBe('');
    for (const one of recipients) got.set(textOf(one), text.slice(trace.length));
  }
  return got;
}

function signed(header: readonly string[] = HEADER, ...args: readonly string[]): Promise<Buffer> {
  const { certificateFile, keyFile } = alice.files;
  return town.made(header, ENTITY, '-sign', '-signer', certificateFile, '-inkey', keyFile, ...args);
}

function encryptedTo(people: readonly Person[], entity = ENTITY): Promise<Buffer> {
  const certificates = people.map(({ files }) => files.certificateFile);
  return town.made(HEADER, entity, '-encrypt', '-aes-256-cbc', ...certificates);
}

async function signedAndEncrypted(...people: readonly Person[]): Promise<Buffer> {
  return encryptedTo(people, (await signed([])).toString('latin1').trimStart());
}

describe('mail that arrives', () => {
  it('is opened for whom it is, and says what was found', async () => {
    await deliver(arrives([BOB], await signedAndEncrypted(bob)));
    const text = (await received()).get(BOB) ?? '';
    expect(text).toContain('the boathouse key');
    expect(text).toMatch(/^Authentication-Results: sealgate-abcdef123456\.gateway\.test;\r\n smime=pass/);
    expect(text).toMatch(/X-Sealgate-abcdef123456-Status: v=1; view=opened/);
    expect(text).toContain('Subject: to be read');
    expect(directory.harvested.map(({ address }) => address)).toEqual([ALICE]);
    expect(log.named('mail.opened')).toMatchObject([{ principal: BOB, encrypted: true, verdict: 'trusted' }]);
    // What was signed inside is there octet for octet.
    expect(await town.verified(Buffer.from(text, 'latin1'))).toContain('the boathouse key');
  });

  it('is opened for those whose keys open it, and comes to the others as it came', async () => {
    const mail = await signedAndEncrypted(bob, carol);
    await deliver(arrives([BOB, DAVE, CAROL], mail));
    const got = await received();
    expect(got.get(BOB)).toContain('the boathouse key');
    expect(got.get(CAROL)).toBe(got.get(BOB));
    expect(got.get(DAVE)).toBe(mail.toString('latin1'));
    expect(server.taken.map(({ recipients }) => recipients.length)).toEqual([2, 1]);
    // Nothing of what was opened goes back to whoever sent it.
    expect(server.taken.map(({ opened }) => opened)).toEqual([true, undefined]);
  });

  it('never comes as plaintext to somebody with a key that does not open it', async () => {
    const mail = await encryptedTo([bob]);
    await deliver(arrives([CAROL, BOB], mail));
    const got = await received();
    expect(got.get(CAROL)).toBe(mail.toString('latin1'));
    expect(got.get(BOB)).toContain('the boathouse key');
  });

  it('that two keys open to two texts comes to each as its own key has it', async () => {
    const mail = await encryptedTo([bob, carol]);
    const texts = new Map<string, string>([
      [BOB, 'Content-Type: text/plain\r\n\r\nfor bob\r\n'],
      [CAROL, 'Content-Type: text/plain\r\n\r\nfor carol\r\n'],
    ]);
    await deliver(arrives([BOB, CAROL, DAVE], mail), {
      story: {
        async open({ principal }) {
          const text = texts.get(principal.login);
          if (text === undefined) return { kind: 'no-key', report: { layers: [] } };
          const entity = bufferSource(Buffer.from(text));
          return { kind: 'opened', entity, report: { layers: [] }, verdict: { kind: 'unsigned' } };
        },
      },
    });
    const got = await received();
    expect(got.get(BOB)).toMatch(/for bob\r\n$/);
    expect(got.get(CAROL)).toMatch(/for carol\r\n$/);
    expect(got.get(DAVE)).toBe(mail.toString('latin1'));
  });

  it('is kept once for all who get the same of it, and of what differs no more than there is room for', async () => {
    const octets = await encryptedTo([bob, carol]);
    let kept = 0;
    let most = 0;
    const counted = (story: InboundStory): InboundStory => ({
      async open(request) {
        const outcome = await story.open(request);
        if (outcome.kind !== 'opened') return outcome;
        most = Math.max(most, ++kept);
        const discard = async () => {
          kept--;
          await outcome.discard?.();
        };
        return { ...outcome, discard };
      },
    });
    const inbound = inboundStory({
      ...{ keyring, directory, anchors: [town.anchor], intermediates: [], clock: () => new Date(), log },
    });
    const outcome = await deliver(arrives([BOB, CAROL], octets), { story: counted(inbound) });
    expect(outcome.reply.code).toBe(250);
    expect(server.taken.map(({ recipients }) => recipients.map(textOf))).toEqual([[BOB, CAROL]]);
    expect([most, kept]).toEqual([2, 0]);

    server = new FakeUpstream();
    const full = await deliver(arrives([BOB, DAVE, CAROL], octets), { openedOctets: 1 });
    expect(full.reply.code).toBe(451);
    expect(server.served).toEqual([BOB]);
  });

  it('that is longer than memory should hold is opened the same', async () => {
    const lines = 'the boathouse key is under the third stone\r\n'.repeat(20_000);
    const mail = await encryptedTo([bob], `Content-Type: text/plain\r\n\r\n${lines}`);
    await deliver(arrives([BOB, DAVE], mail));
    const got = await received();
    expect(got.get(BOB)?.endsWith(`\r\n\r\n${lines}`) || got.get(BOB)?.includes(lines)).toBe(true);
    expect(got.get(DAVE)).toBe(mail.toString('latin1'));
  });

  it('that is not S/MIME is the same octet for octet below its trace field', async () => {
    const plain = Buffer.from(`${HEADER.join('\r\n')}\r\n\r\n.dot\r\n\r\n\xe9\x80 \t\r\n`, 'latin1');
    await deliver(arrives([BOB, DAVE], plain));
    expect((await received()).get(DAVE)).toBe(plain.toString('latin1'));
    expect(server.taken).toHaveLength(1);
    const whole = (await collectFrom(server.taken[0]?.octets ?? bufferSource(plain))).toString('latin1');
    expect(whole).toMatch(
      /^Received: from mx\.elsewhere\.test \(\[192\.0\.2\.1\]\)\r\n\tby gateway\.test \(Sealgate mx\)\r\n\twith ESMTPS id [0-9a-z]{20};\r\n\tSun, 22 Nov 2026 10:00:00 \+0000\r\n/,
    );
  });

  it('that is clear-signed keeps every octet behind what was found', async () => {
    const mail = await signed();
    await deliver(arrives([DAVE], mail));
    const text = (await received()).get(DAVE) ?? '';
    expect(text.endsWith(mail.toString('latin1'))).toBe(true);
    expect(text).toMatch(/^Authentication-Results: [\s\S]*smime=pass[\s\S]*verdict=trusted/);
    expect(await town.verified(Buffer.from(text, 'latin1'))).toContain('the boathouse key');
    expect(directory.harvested).toHaveLength(1);
  });

  it('with an opaque signature is opened for everybody', async () => {
    await deliver(arrives([DAVE], await signed(HEADER, '-nodetach')));
    const text = (await received()).get(DAVE) ?? '';
    expect(text).toContain('the boathouse key');
    expect(text).toMatch(/verdict=trusted/);
    expect(text).toMatch(/\r\nMIME-Version: 1\.0\r\nContent-Type: text\/plain\r\n\r\nthe boathouse key\r\n$/);
  });

  it('that is damaged comes as it came', async () => {
    const mail = await encryptedTo([bob]);
    const text = mail.toString('latin1');
    const at = text.lastIndexOf('\r\n', text.length - 80);
    const damaged = Buffer.from(`${text.slice(0, at - 8)}AAAAAAAA${text.slice(at)}`, 'latin1');
    await deliver(arrives([BOB], damaged));
    const got = (await received()).get(BOB) ?? '';
    // CBC does not notice all damage: either it comes as it came, or what was opened has a warning.
    expect(got === damaged.toString('latin1') || /Sealgate warning/.test(got)).toBe(true);
  });

  it('has no status that its sender has put there', async () => {
    const forged = [
      'X-Sealgate-abcdef123456-Status: v=1; view=opened; verdict=trusted',
      'Authentication-Results: sealgate-abcdef123456.gateway.test; smime=pass',
      ...HEADER,
    ];
    const plain = Buffer.from(`${forged.join('\r\n')}\r\n\r\nhello\r\n`, 'latin1');
    await deliver(arrives([BOB], plain));
    const text = (await received()).get(BOB) ?? '';
    expect(text).not.toContain('abcdef123456');
    expect(text).toHaveLength(plain.length);
  });

  it('has no such status behind a header that is larger than any that is read', async () => {
    const large = `X-Filler: ${'a'.repeat(70)}\r\n`.repeat(limits.mail.headerOctets / 70);
    const forged = 'X-Sealgate-abcdef123456-Status: v=1; view=opened; verdict=trusted';
    const body = 'In the body X-Sealgate-abcdef123456-Status: is a word like any other.\r\n';
    const plain = Buffer.from(`${HEADER.join('\r\n')}\r\n${large}${forged}\r\n\r\n${body}`, 'latin1');
    await deliver(arrives([BOB], plain));
    const text = (await received()).get(BOB) ?? '';
    expect(text).toHaveLength(plain.length);
    expect(text).not.toContain(forged);
    expect(text.endsWith(`\r\n\r\n${body}`)).toBe(true);
  });

  it('whose header begins with a continuation gets no status that it would continue', async () => {
    const mail = Buffer.concat([Buffer.from(' ; verdict=trusted\r\n'), await signed()]);
    await deliver(arrives([BOB], mail));
    expect((await received()).get(BOB)?.endsWith(mail.toString('latin1'))).toBe(true);
    expect((await received()).get(BOB)).not.toMatch(/X-Sealgate/);
  });

  it('with eight bits inside is opened to seven, unless the sender has announced eight', async () => {
    const entity =
      'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nschl\xc3\xbcssel\r\n';
    const mail = await encryptedTo([bob], entity);
    await deliver(arrives([BOB], mail));
    const seven = (await received()).get(BOB) ?? '';
    expect(seven).toMatch(/schl=C3=BCssel/i);
    expect(/[\x80-\xff]/.test(seven)).toBe(false);
    server = new FakeUpstream();
    const announced = arrives([BOB], mail);
    const mailParameters = [{ keyword: 'BODY', value: '8BITMIME' }];
    await deliver({ ...announced, envelope: { ...announced.envelope, mailParameters } });
    expect((await received()).get(BOB)).toContain('schl\xc3\xbcssel');
  });
});

describe('header fields beyond ASCII in what was opened', () => {
  const entity = [
    `From: M\xc3\xbcller <${ALICE}>`,
    'Subject: der Schl\xc3\xbcssel',
    'Content-Type: text/plain; charset=utf-8; hp="cipher"',
    ...['Content-Transfer-Encoding: 8bit', '', 'schl\xc3\xbcssel', ''],
  ].join('\r\n');
  const header = async (keywords: readonly { keyword: string; value: string | null }[]) => {
    const mail = arrives([BOB], await encryptedTo([bob], entity));
    await deliver({ ...mail, envelope: { ...mail.envelope, mailParameters: keywords } });
    return (await received()).get(BOB)?.split('\r\n\r\n')[0] ?? '';
  };
  const EIGHT = { keyword: 'BODY', value: '8BITMIME' };

  it('are encoded where its sender has not announced them (RFC 6531 §3.4)', async () => {
    const encoded = await header([EIGHT]);
    expect(/[\x80-\xff]/.test(encoded)).toBe(false);
    expect(encoded).toMatch(/^Subject: der =\?utf-8\?B\?U2NobMO8c3NlbA==\?=\r?$/m);
    expect(encoded).toMatch(/^From: =\?utf-8\?B\?[A-Za-z0-9+=/]+\?= <alice@elsewhere.test>\r?$/m);
  });

  it('stay where it has', async () => {
    const raw = await header([EIGHT, { keyword: 'SMTPUTF8', value: null }]);
    expect(raw).toContain('Subject: der Schl\xc3\xbcssel');
  });
});

describe('a bounce', () => {
  it('teaches nothing, whoever has signed it', async () => {
    const bounce = arrives([BOB], await signed());
    const outcome = await deliver({ ...bounce, envelope: { ...bounce.envelope, reversePath: null } });
    expect(outcome.kind).toBe('accepted');
    expect(directory.harvested).toEqual([]);
  });
});

describe('a key that is away', () => {
  it('lets the sender try again, and the others have the mail', async () => {
    keyring.decryptionTrouble = away();
    const mail = await encryptedTo([bob]);
    const outcome = await deliver(arrives([BOB, DAVE], mail));
    expect(outcome.reply).toMatchObject({ code: 451 });
    expect(outcome.reply.lines[0]).toContain(`Sent to ${DAVE}, but not to ${BOB}`);
    expect([...(await received()).keys()]).toEqual([DAVE]);
    // The same mail again: dave does not get it twice.
    keyring.decryptionTrouble = null;
    server = new FakeUpstream();
    expect(await deliver(arrives([BOB, DAVE], mail))).toMatchObject({ kind: 'accepted' });
    expect([...(await received()).keys()]).toEqual([BOB]);
  });

  it('comes to nobody twice, where the sender tries again for each alone', async () => {
    keyring.decryptionTrouble = away();
    const mail = await encryptedTo([bob]);
    expect((await deliver(arrives([BOB, DAVE], mail))).reply.code).toBe(451);
    keyring.decryptionTrouble = null;
    server = new FakeUpstream();
    for (const one of [DAVE, BOB]) expect((await deliver(arrives([one], mail))).kind).toBe('accepted');
    expect([...(await received()).keys()]).toEqual([BOB]);
    expect(delivered.keys.size).toBe(0);
  });

  it('of the only recipient leaves nothing with anybody', async () => {
    keyring.decryptionTrouble = away();
    const outcome = await deliver(arrives([BOB], await encryptedTo([bob])));
    expect(outcome).toMatchObject({ kind: 'refused', reply: { code: 451 } });
    expect(outcome.reply.lines[0]).toMatch(/^4\.7\.5 The token is not there\./);
    expect(server.taken).toEqual([]);
  });

  it('may let the mail come as it came, where the configuration says so', async () => {
    keyring.decryptionTrouble = away();
    const mail = await encryptedTo([bob]);
    expect(await deliver(arrives([BOB], mail), { keyAway: 'deliver-encrypted' })).toMatchObject({
      kind: 'accepted',
    });
    expect((await received()).get(BOB)).toBe(mail.toString('latin1'));
  });

  it('is told of each recipient by LMTP', async () => {
    keyring.decryptionTrouble = away();
    const mail = arrives([BOB, DAVE], await encryptedTo([bob]));
    const outcome = await deliver(mail, { replyToEach: true });
    const codes = mail.envelope.recipients.map((one) => outcome.each?.get(one)?.code);
    expect(codes).toEqual([451, 250]);
    expect([...(await received()).keys()]).toEqual([DAVE]);
  });
});

describe('mail that goes in circles', () => {
  const bounced = (fields: readonly string[]) =>
    deliver(arrives([BOB], Buffer.from(`${[...fields, ...HEADER].join('\r\n')}\r\n\r\nhello\r\n`)));
  const OWN =
    'Received: from a\r\n\tby gateway.test (Sealgate mx)\r\n\twith SMTP id 1; Sun, 22 Nov 2026 10:00:00 +0000';
  const OTHER = 'Received: from a by b.test with SMTP id 1; Sun, 22 Nov 2026 10:00:00 +0000';

  it('through a hundred servers is refused', async () => {
    expect(await bounced(Array(100).fill(OTHER))).toMatchObject({ kind: 'refused', reply: { code: 554 } });
    expect(await bounced(Array(99).fill(OTHER))).toMatchObject({ kind: 'accepted' });
  });

  it('through this listener three times is refused', async () => {
    const outcome = await bounced([OWN, OTHER, OWN, OTHER, OWN]);
    expect(outcome.reply.lines[0]).toMatch(/^5\.4\.6 This message goes in circles/);
    expect(await bounced([OWN, OTHER, OWN])).toMatchObject({ kind: 'accepted' });
    // Another listener is not this one, and a body is no header.
    const others = OWN.replace('Sealgate mx', 'Sealgate out');
    expect(await bounced([others, others, others, others])).toMatchObject({ kind: 'accepted' });
    const quoted = Buffer.from(`${HEADER.join('\r\n')}\r\n\r\n${`${OWN}\r\n`.repeat(200)}`);
    expect(await deliver(arrives([BOB], quoted))).toMatchObject({ kind: 'accepted' });
  });

  it('shows what a client calls itself only where it is a name', async () => {
    const mail = arrives([BOB], Buffer.from('Subject: a\r\n\r\nb\r\n'));
    const helo = 'evil)\u00a0(';
    const arrival = { hostname: 'gateway.test', helo, protocol: 'SMTP' };
    await deliver({ ...mail, origin: { ...mail.origin, remote: '2001:db8::1', arrival } });
    const text = (await collectFrom(server.taken[0]?.octets ?? mail.octets)).toString('latin1');
    expect(text).toMatch(/^Received: from unknown \(\[IPv6:2001:db8::1\]\)\r\n/);
  });
});
