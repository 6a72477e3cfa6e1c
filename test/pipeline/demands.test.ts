import { beforeEach, describe, expect, it } from 'vitest';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collect } from '../../src/octets/collect.ts';
import { explainedLines } from '../../src/pipeline/explained-lines.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { ALWAYS } from '../policy/always.ts';
import { principalNamed } from '../support/principal.ts';
import { ALICE, BOB, deskOf, RITA } from './support/desk.ts';
import type { Person } from './support/people.ts';
import { mail, rule, ruleFor } from './support/ports.ts';

const desk = deskOf({ alice: {}, bob: {}, rita: { keyType: 'rsa-2048' } });
let alice: Person;
let bob: Person;
let rita: Person;
beforeEach(() => {
  [alice, bob, rita] = [desk.person('alice'), desk.person('bob'), desk.person('rita')];
  desk.directory.knows(bob).knows(rita);
});

/** What came of it, with the explanation as people read it. */
async function send(rules: readonly Rule[], octets: Buffer, to: readonly string[] = [BOB]) {
  const { reply, text, explained } = await desk.send(rules, octets, { to });
  return { reply: text, code: reply.code, text: explainedLines(explained).join('\n') };
}

const header = (subject: string, ...more: string[]) =>
  mail([`From: ${ALICE}`, `To: ${BOB}`, `Subject: ${subject}`, ...more]);

async function readBy(person: Person, octets: Buffer) {
  const story = inboundStory({
    ...{ keyring: desk.keyring, directory: desk.directory, log: desk.log, clock: () => new Date() },
    ...{ anchors: [desk.town.anchor], intermediates: [] },
    subjectEmailAddress: false,
  });
  const opened = await story.open({
    session: newSessionId(),
    principal: principalNamed(person.address),
    octets: bufferSource(octets),
  });
  if (opened.kind !== 'opened') throw new Error(opened.kind);
  const text = (await collect(opened.entity.read(0, opened.entity.length))).toString('latin1');
  return { ...opened, text, header: (opened.header ?? Buffer.alloc(0)).toString('latin1') };
}

describe('form: triple-wrap', () => {
  it('is signed, encrypted and signed again, as OpenSSL and the way in find it', async () => {
    const { text } = await send(
      [rule({ form: 'triple-wrap', encrypt: 'require', subject: 'protect' })],
      header('Offer'),
    );
    expect(text).toContain('would be sent signed (triple-wrap), encrypted');
    const left = desk.upstream.messageFor(BOB);
    expect(left.toString('latin1')).toMatch(/^Subject: \[\.\.\.\]\r$/m);
    const wrapped = await desk.town.verified(left);
    expect(wrapped).toMatch(/^Content-Type: application\/pkcs7-mime; smime-type=enveloped-data/m);
    const inner = await desk.town.decrypted(Buffer.from(wrapped, 'latin1'), bob);
    expect(inner).toMatch(/^Content-Type: multipart\/signed/m);
    expect(await desk.town.verified(Buffer.from(inner, 'latin1'))).toContain('the boathouse key');
    const read = await readBy(bob, left);
    expect(read.verdict).toEqual({ kind: 'trusted' });
    expect(read.report.layers.map(({ kind }) => kind)).toEqual(['signed', 'encrypted', 'signed']);
    expect(read.header).toContain('Subject: Offer');
  });

  it('is a plain signature where nothing is encrypted', async () => {
    desk.directory.known.clear();
    await send([rule({ form: 'triple-wrap' })], header('Offer'));
    expect(desk.upstream.messageFor(BOB).toString('latin1')).toMatch(/^Content-Type: multipart\/signed/m);
    expect(await desk.town.verified(desk.upstream.messageFor(BOB))).toContain('the boathouse key');
  });
});

describe('stripTag', () => {
  const tagged = { ...ALWAYS, subjectTag: ['secret'] };

  it('takes the tag out before the mail is signed: inside and outside', async () => {
    const rules = [rule({ when: tagged, stripTag: true, encrypt: 'never' }), rule({ name: 'rest' })];
    const { text } = await send(rules, header('[x] [Secret] =?utf-8?Q?gr=C3=BCn?='));
    expect(text).toContain('without [secret]');
    const left = desk.upstream.messageFor(BOB).toString('latin1');
    expect(left).not.toMatch(/secret/i);
    expect(left.match(/^Subject: \[x\] =\?utf-8\?Q\?gr=C3=BCn\?=\r$/gm)).toHaveLength(2);
    expect(await desk.town.verified(desk.upstream.messageFor(BOB))).toContain('[x] =?utf-8?Q?gr=C3=BCn?=');
  });

  it('is of one recipient, and others see the tag where their rule keeps it', async () => {
    const rules = [
      ruleFor([BOB], { when: { ...tagged, recipient: [BOB] }, stripTag: true, encrypt: 'never' }),
      rule({ encrypt: 'never' }),
    ];
    await send(rules, header('[secret] Offer', `Cc: ${RITA}`), [BOB, RITA]);
    expect(desk.upstream.messageFor(BOB).toString('latin1')).not.toContain('[secret]');
    expect(desk.upstream.messageFor(RITA).toString('latin1')).toContain('[secret] Offer');
  });

  it('leaves alone what the mail program has signed', async () => {
    const signed = await desk.town.made(
      [`From: ${ALICE}`, `To: ${BOB}`, 'Subject: [secret] Offer'],
      'Content-Type: text/plain\r\n\r\nx\r\n',
      ...['-sign', '-signer', alice.files.certificateFile, '-inkey', alice.files.keyFile],
    );
    await send([rule({ when: tagged, stripTag: true, encrypt: 'never' })], signed);
    expect(desk.upstream.messageFor(BOB).equals(signed)).toBe(true);
  });
});

describe('steering', () => {
  const steering = { tags: true, header: 'x-steer', mayLower: false };
  const lenient = (changes: Partial<Rule> = {}) => [
    rule({ sign: 'never', encrypt: 'never', steering, stripTag: true, ...changes }),
  ];

  it.each([
    ['[encrypt] Offer', [], { encrypted: true, signed: false }],
    ['[sign] Offer', [], { encrypted: false, signed: true }],
    ['[SIGN][encrypt] Offer', [], { encrypted: true, signed: true }],
    ['Offer', ['X-Steer: encrypt', 'X-Steer: sign'], { encrypted: true, signed: true }],
    ['Offer [encrypt]', ['X-Steer: unencrypted'], { encrypted: false, signed: false }],
  ])('%s %j', async (subject, more, protection) => {
    const { text } = await send(lenient(), header(subject, ...more));
    expect(desk.upstream.taken[0]?.protection).toEqual(protection);
    expect(text).toMatch(/the author asks for: (nothing|sign|encrypt|sign and encrypt)$/m);
    const left = desk.upstream.messageFor(BOB).toString('latin1');
    expect(left).not.toMatch(/^x-steer/im);
    expect(left).not.toMatch(/^Subject: \[(sign|encrypt)/im);
  });

  it('what is asked for and cannot be done is refused', async () => {
    desk.directory.known.clear();
    const { code, reply } = await send(lenient(), header('[encrypt] Offer'));
    expect([code, reply]).toEqual([550, expect.stringMatching(/no valid certificate is known/)]);
    expect(desk.upstream.taken).toEqual([]);
  });

  it.each([
    [false, '[plain] Offer', true],
    [true, '[plain] Offer', false],
    [true, '[plain] [encrypt] Offer', true],
    [true, 'Offer', true],
  ])('mayLower %s, %s: encrypted %s', async (mayLower, subject, encrypted) => {
    const strict = { sign: 'require', encrypt: 'require', steering: { ...steering, mayLower } } as const;
    await send(lenient(strict), header(subject));
    expect(desk.upstream.taken[0]?.protection).toEqual({ encrypted, signed: encrypted });
  });
});

describe('algorithms', () => {
  const none = { contentEncryption: null, keyManagement: null, signature: null };

  it('that a rule pins are taken', async () => {
    const algorithms = {
      contentEncryption: 'aes256-gcm',
      keyManagement: 'ecdh',
      signature: 'ecdsa',
    } as const;
    const { text } = await send([rule({ algorithms })], header('Offer'));
    expect(text).toMatch(/content: aes256-gcm \(the rule\)/);
    expect(desk.upstream.messageFor(BOB).toString('latin1')).toContain('smime-type=authEnveloped-data');
    expect((await readBy(bob, desk.upstream.messageFor(BOB))).verdict).toEqual({ kind: 'trusted' });
  });

  it.each<[string, Partial<NonNullable<Rule['algorithms']>>, RegExp]>([
    [
      'a reader with another kind of key',
      { keyManagement: 'rsa-oaep' },
      /To bob@.*a key for ecdh, and not for rsa-oaep/,
    ],
    ['a reader with an RSA key', { keyManagement: 'ecdh' }, /To rita@.*a key for RSA, and not for ecdh/],
    [
      'a key that signs otherwise',
      { signature: 'rsa-pss' },
      /cannot be signed .*makes ecdsa, and not rsa-pss/,
    ],
    [
      'a reader who says otherwise',
      { contentEncryption: 'aes256-gcm' },
      /To bob@.*reads aes256-cbc, and not aes256-gcm/,
    ],
  ])('%s: refused, and nobody gets anything', async (_, pins, sentence) => {
    // aes256-CBC (RFC 3565 §4.1)
    if (pins.contentEncryption !== undefined) {
      desk.directory.known.clear();
      desk.directory.knows(bob, ['2.16.840.1.101.3.4.1.42']).knows(rita);
    }
    const { code, reply } = await send(
      [rule({ algorithms: { ...none, ...pins } })],
      header('Offer', `Cc: ${RITA}`),
      [BOB, RITA],
    );
    expect([code, reply]).toEqual([554, expect.stringMatching(sentence)]);
    expect([desk.upstream.offered, desk.keyring.signatures]).toEqual([[], 0]);
  });

  it('are of one rule: others are served as ever', async () => {
    const pinned = ruleFor([BOB], { algorithms: { ...none, contentEncryption: 'aes128-cbc' } });
    const { text } = await send([pinned, rule()], header('Offer', `Cc: ${RITA}`), [BOB, RITA]);
    expect(text).toMatch(/aes128-cbc \(the rule\)/);
    expect(text).toMatch(/aes256-cbc \(every program/);
    expect(desk.upstream.taken).toHaveLength(2);
  });
});

describe('requireTls', () => {
  it.each([
    ['no', { tls: false, requireTls: false }, null],
    ['upstream', { tls: true, requireTls: false }, null],
    ['upstream', { tls: false, requireTls: false }, /^5\.7\.1 .*may only leave by TLS \(rule all\)/],
    ['onward', { tls: true, requireTls: true }, null],
    ['onward', { tls: true, requireTls: false }, /^5\.7\.30 .*which the mail server does not promise/],
    ['onward', { tls: false, requireTls: true }, /^5\.7\.1 /],
  ] as const)('%s with %j', async (requireTls, leg, refusal) => {
    desk.upstream.upstream = leg;
    const { reply } = await send([rule({ requireTls })], header('Offer'));
    if (refusal !== null)
      expect([reply, desk.upstream.offered]).toEqual([expect.stringMatching(refusal), []]);
    else expect(desk.upstream.taken.map((one) => one.requireTls)).toEqual([requireTls !== 'no']);
  });

  it('holds for what the mail program has encrypted, too', async () => {
    const octets = await desk.town.made(
      [`From: ${ALICE}`, `To: ${BOB}`, 'Subject: Offer'],
      'Content-Type: text/plain\r\n\r\nx\r\n',
      ...['-encrypt', bob.files.certificateFile],
    );
    await send([rule({ requireTls: 'upstream' })], octets);
    expect(desk.upstream.taken).toMatchObject([{ requireTls: true }]);
    desk.upstream.upstream = { tls: false, requireTls: false };
    expect((await send([rule({ requireTls: 'upstream' })], octets)).code).toBe(550);
  });
});

describe('revocation', () => {
  const unchecked = {
    of: async () => ({ kind: 'unchecked', why: 'Nobody answered.', mayPass: true }) as const,
  };

  it.each([
    ['hard', 'soft', 451],
    ['soft', 'hard', 250],
    [null, 'hard', 451],
    [null, 'soft', 250],
  ] as const)('of a rule %s, of the gateway %s: %s', async (revocation, failure, code) => {
    const { reply } = await desk.send([rule({ revocation, encrypt: 'require' })], header('Offer'), {
      revocation: { standing: unchecked, failure },
    });
    expect(reply.code).toBe(code);
  });
});
