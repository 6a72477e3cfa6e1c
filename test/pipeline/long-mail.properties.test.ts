import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newSessionId } from '../../src/ids.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import type { OctetSource, Spool } from '../../src/octets/source.ts';
import { inboundStory } from '../../src/pipeline/inbound.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import type { HandOverOutcome, Standing, Submission, Variant } from '../../src/pipeline/ports.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { ALWAYS } from '../policy/always.ts';
import { watchedSpool } from '../reading/support/watched-spool.ts';
import { principalNamed } from '../support/principal.ts';
import { buffered } from './support/buffered.ts';
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
  rule as madeRule,
  PERMANENT,
  submission,
  TEMPORARY,
  textOf,
} from './support/ports.ts';

/** One mail sent twice: once in memory, once from where it lies. Nobody can tell which is which. */

const ALICE = 'alice@example.org';
const NAMES = ['b', 'c', 'd'].map((name) => `${name}@example.org`);
/** After the certificates are made, whenever that is. */
const NOW = new Date(Date.now() + 60_000);

let town: Town;
let alice: Person;
let people: Person[];
beforeAll(async () => {
  town = await Town.found();
  // A signature that is the same each time.
  alice = await town.person(ALICE, { keyType: 'rsa-2048' });
  people = await Promise.all(NAMES.map((address) => town.person(address)));
});
afterAll(() => town?.end());

const BASE64 = Buffer.from('the boathouse key '.repeat(40)).toString('base64');
const lines = (text: string, length: number, end: string) =>
  (text.match(new RegExp(`.{1,${length}}`, 'g')) ?? []).join(end);
const PARTS = [
  'Content-Type: text/plain; charset=utf-8\r\n\r\nthe boathouse key\r\n',
  'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße  \r\nFrom me\r\n',
  'Content-Type: text/html\r\n\r\n<html><body class=x>the <b>boathouse</b></body></html>\r\n',
  `Content-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n${lines(BASE64, 76, '\r\n')}\r\n`,
  `Content-Type: application/pdf; name="b.PDF"\r\nContent-Transfer-Encoding: base64\r\n\r\n${lines(BASE64, 700, ' \r\n')}\r\n`,
  `Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nsoft=\r\nblank \r\n=46rom\r\n`,
  `Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${'\0ÿ'.repeat(30)}\r\n${'x'.repeat(1200)}\r\n`,
  'Content-Type: message/rfc822\r\n\r\nFrom: x@example.net\r\nSubject: inside\r\nContent-Type: image/png; name=i.png\r\n\r\nü\r\n',
  '\r\nno header at all\r\n',
  'Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nwhich?\r\n',
];
const ROOTS = [
  ...PARTS,
  'Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\nMAAA\r\n',
  'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=s\r\n\r\n--s\r\n\r\nx\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--s--\r\n',
];
const multipart = (subtype: string, parts: readonly string[], boundary: string) =>
  `Content-Type: multipart/${subtype}; boundary=${boundary}\r\n\r\npreamble\r\n${parts
    .map((part) => `--${boundary}\r\n${part}\r\n`)
    .join('')}--${boundary}--\r\n`;
const part = fc.constantFrom(...PARTS);
const inner = fc.oneof(
  { weight: 4, arbitrary: part },
  {
    weight: 1,
    arbitrary: fc.array(part, { maxLength: 2 }).map((all) => multipart('alternative', all, 'in')),
  },
);
const entity = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(...ROOTS) },
  { weight: 3, arbitrary: fc.array(inner, { maxLength: 4 }).map((all) => multipart('mixed', all, 'out')) },
);
const usually = <T>(usual: T, ...others: T[]) =>
  fc.oneof(
    { weight: 9, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );
const fields = fc.record({
  tags: fc.subarray(['secret', 'encrypt', 'sign', 'plain']),
  subject: fc.constantFrom('where it lies', '=?utf-8?Q?gr=C3=BC=C3=9Fe?=', 'grüße', ''),
  others: fc.subarray([
    'Bcc: d@example.org,\r\n someone@example.net',
    'Resent-Bcc: d@example.org',
    'X-Class: =?utf-8?Q?Secret?=',
    'X-Seal: encrypt, sign',
    'MIME-Version: 1.0',
    `X-Long: ${'word '.repeat(300)}`,
  ]),
  /** Only some readers take this for a blind copy. */
  odd: usually(null, 'Bcc : d@example.org', 'no field'),
});

const demand = fc.constantFrom<Rule['sign']>('require', 'require', 'if-possible', 'never');
const changes = fc.record({
  sign: demand,
  encrypt: demand,
  withoutCertificate: fc.constantFrom<Rule['withoutCertificate']>(
    ...(['refuse-all', 'send-signed', 'hold', 'hold', 'ask', 'ask'] as const),
  ),
  form: fc.constantFrom<Rule['form']>('clear', 'opaque', 'triple-wrap'),
  subject: fc.constantFrom<Rule['subject']>('keep', 'protect'),
  steering: fc.constantFrom<Rule['steering']>(
    null,
    { tags: true, header: 'x-seal', mayLower: true },
    { tags: true, header: null, mayLower: false },
  ),
  stripTag: fc.boolean(),
  introduce: fc.boolean(),
  looking: fc.constantFrom<Partial<Rule['when'] & { kind: 'all' }>>({}, {}, { subjectTag: ['secret'] }),
});
const outcomes = fc.array(
  usually<HandOverOutcome | Error>(ACCEPTED, TEMPORARY, PERMANENT, LOST, new Error('x')),
  { maxLength: 3 },
);

type Given = {
  octets: Buffer;
  rules: readonly Rule[];
  known: readonly boolean[];
  outcomes: readonly (HandOverOutcome | Error)[];
  key: boolean;
  full: boolean;
};
const given: fc.Arbitrary<Given> = fc
  .record({
    ...{ fields, entity, outcomes, key: usually(true, false) },
    rules: fc.tuple(changes, changes),
    known: fc.tuple(...NAMES.map(() => fc.constantFrom(true, true, true, false))),
    full: usually(false, true),
  })
  .map(({ fields: { tags, subject, others, odd }, entity: body, rules: [one, other], ...rest }) => {
    const header = [
      `From: ${ALICE}`,
      `To: ${NAMES[0]}, ${NAMES[1]}`,
      `Subject: ${tags.map((tag) => `[${tag}]`).join('')} ${subject}`,
      ...others,
      ...(odd === null ? [] : [odd]),
    ];
    const made = ({ looking, ...written }: typeof one, name: string, when: Partial<Rule['when']>) =>
      madeRule({ ...written, name, when: { ...ALWAYS, ...looking, ...when } as Rule['when'] });
    return {
      ...rest,
      octets: Buffer.from(`${header.join('\r\n')}\r\n${body}`),
      rules: [
        made(one, 'one', { recipient: [NAMES[0] ?? '', NAMES[2] ?? ''] } as Partial<Rule['when']>),
        made(other, 'other', { attachmentType: ['application/*', 'image/*'] } as Partial<Rule['when']>),
        madeRule({ name: 'last', encrypt: 'never' }),
      ],
    };
  });

type Sent = {
  outcome: { kind: string; code: number; lines: readonly string[] };
  offered: readonly Variant[];
  held: FakeHolding['held'];
  signatures: number;
};

async function sent(
  mail: Submission,
  of: Given,
  where: { memoryOctets: number; spool: Spool },
): Promise<Sent> {
  const keyring = new FakeKeyring(of.key ? [alice] : []);
  const directory = new FakeDirectory();
  for (const [index, person] of people.entries()) if (of.known[index] === true) directory.knows(person);
  const holding = new FakeHolding();
  if (of.full) holding.trouble = away('holding.full');
  const upstream = new FakeUpstream(...of.outcomes);
  const revocation = {
    failure: 'soft' as const,
    standing: { of: async (): Promise<Standing> => ({ kind: 'good' }) },
  };
  const story = outboundStory({
    ...{ keyring, directory, delivered: new FakeDelivered(), holding, revocation, rules: of.rules, ...where },
    ...{ clock: () => NOW, log: new FakeLog() },
  });
  const { kind, reply } = await story.submit(mail, upstream);
  const { signatures } = keyring;
  return { outcome: { kind, ...reply }, offered: upstream.offered, held: holding.held, signatures };
}

/** What is by chance in a signed message is its boundary. */
function withoutBoundary(octets: Buffer): string {
  const text = octets.toString('latin1');
  const boundary = /^ micalg=[^;]+; boundary="([^"]+)"/m.exec(text)?.[1];
  return boundary === undefined ? text : text.replaceAll(boundary, 'BOUNDARY');
}

async function opened(octets: Buffer, address: string) {
  const story = inboundStory({
    ...{
      keyring: new FakeKeyring([alice, ...people]),
      directory: new FakeDirectory(),
      anchors: [town.anchor],
    },
    ...{ intermediates: [], clock: () => NOW, log: new FakeLog(), subjectEmailAddress: false },
  });
  const request = {
    session: newSessionId(),
    principal: principalNamed(address),
    octets: bufferSource(octets),
  };
  const outcome = await buffered(story.open(request));
  return outcome.kind === 'opened'
    ? { ...outcome, keys: null, entity: withoutBoundary(outcome.entity) }
    : outcome;
}

const textIn = async (source: OctetSource | null) =>
  source === null ? null : withoutBoundary(await collectFrom(source));

it('a mail that is signed and encrypted where it lies meets the same fate as in memory, octet for octet where nothing is by chance', async () => {
  const counts = { refused: 0, plain: 0, encrypted: 0, held: 0 };
  await fc.assert(
    fc.asyncProperty(given, async (of) => {
      const mail = submission(ALICE, NAMES, of.octets);
      const { spool, left } = watchedSpool(100);
      const inMemory = await sent(mail, of, { memoryOctets: of.octets.length, spool });
      const elsewhere = await sent(mail, of, { memoryOctets: 0, spool });

      expect(elsewhere.outcome).toEqual(inMemory.outcome);
      expect(elsewhere.signatures).toBe(inMemory.signatures);
      expect(left()).toBe(0);
      expect(elsewhere.offered.length).toBe(inMemory.offered.length);
      if (inMemory.outcome.kind === 'refused') counts.refused++;
      for (const [index, { octets, ...variant }] of inMemory.offered.entries()) {
        const { octets: others, ...other } = elsewhere.offered[index] as Variant;
        expect(other).toEqual(variant);
        expect(others.length).toBe(octets.length);
        const [one, two] = [await collectFrom(octets), await collectFrom(others)];
        if (variant.protection.encrypted) {
          counts.encrypted++;
          for (const address of [ALICE, ...variant.recipients.map(textOf)]) {
            expect(await opened(two, address)).toEqual(await opened(one, address));
          }
        } else {
          counts.plain++;
          expect(withoutBoundary(two)).toBe(withoutBoundary(one));
        }
      }
      expect(elsewhere.held.length).toBe(inMemory.held.length);
      for (const [index, { encryptable, readable, introduction, ...held }] of inMemory.held.entries()) {
        counts.held++;
        const other = elsewhere.held[index] as (typeof inMemory.held)[number];
        expect(other).toMatchObject(held);
        expect(await textIn(other.encryptable)).toBe(await textIn(encryptable));
        expect(await textIn(other.readable)).toBe(await textIn(readable));
        expect(other.introduction === null).toBe(introduction === null);
      }
    }),
    { numRuns: Number(process.env.SEALGATE_RUNS ?? 120) },
  );
  expect(Math.min(...Object.values(counts))).toBeGreaterThan(2);
});
