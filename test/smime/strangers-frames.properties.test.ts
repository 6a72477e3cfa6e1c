import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { SealgateError } from '../../src/errors.ts';
import { encodeBase64 } from '../../src/mail/base64.ts';
import { decideInbound } from '../../src/policy/decide-inbound.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { crlf, People } from './support/people.ts';

/**
 * What Alice has once signed lies open; Mallory has a certificate of the same authority for her own address. Whatever frame she
 * puts around it, a mail that is shown as Alice's and trusted shows what Alice has signed.
 */

let people: People;
beforeAll(() => {
  people = new People();
});
afterAll(() => people.remove());

const RUNS = Number(process.env.SEALGATE_RUNS ?? 250);
/** After the certificates are made, whenever that is. */
const AT = new Date(Date.now() + 60_000);

/** Header fields in front of the Content-* fields of an entity. */
const HEADS = [
  '',
  'From: alice@example.org\r\nSubject: FORGED\r\n',
  'From: Alice <alice@example.org>\r\nReply-To: mallory@example.org\r\nSubject: FORGED\r\n',
  'From: mallory@example.org\r\nSubject: FORGED\r\n',
  'From: alice@example.org\r\nFrom: mallory@example.org\r\nSubject: FORGED\r\n',
  'From: mallory@example.org, alice@example.org\r\nSubject: FORGED\r\n',
  'From: alice@EXAMPLE.org\r\nSubject: FORGED\r\nHP-Outer: Subject: FORGED\r\nHP-Outer: From: alice@example.org\r\n',
  'From : alice@example.org\r\nSubject: FORGED\r\n',
];

type Step =
  | { kind: 'head'; head: string }
  | { kind: 'mixed' | 'mallory-clear' | 'mallory-opaque' | 'encrypted' | 'compressed' | 'hp' | 'lf' }
  | { kind: 'message'; parameters: string };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('head' as const), head: fc.constantFrom(...HEADS) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        ...(['mixed', 'mallory-clear', 'mallory-opaque', 'encrypted', 'compressed', 'hp', 'lf'] as const),
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('message' as const),
      parameters: fc.constantFrom('', '; forwarded=no', '; hp="clear"', '; hp="cipher"'),
    }),
  },
);

async function framed(entity: Buffer, step: Step): Promise<Buffer> {
  switch (step.kind) {
    case 'head':
      return Buffer.concat([Buffer.from(step.head), entity]);
    case 'mixed':
      return joined(
        'Content-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\n\r\nFORGED\r\n--f\r\n',
        entity,
        '\r\n--f--\r\n',
      );
    case 'mallory-clear':
    case 'mallory-opaque': {
      const form = step.kind === 'mallory-clear' ? 'clear' : 'opaque';
      return signMessage(entity, people.signer('mallory'), { form, at: AT, boundary: `m${entity.length}` });
    }
    case 'encrypted':
      return encryptMessage(entity, [people.identity('bob')], 'aes256-cbc');
    case 'compressed':
      return joined(`${PKCS7}; smime-type=compressed-data${BASE64}`, encodeBase64(compressed(entity)), '');
    case 'hp':
      return Buffer.from(
        entity.toString('latin1').replace(/Content-Type: ([a-z0-9/-]+)/, 'Content-Type: $1; hp="cipher"'),
        'latin1',
      );
    case 'lf':
      return Buffer.from(entity.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    case 'message':
      return joined(`Content-Type: message/rfc822${step.parameters}\r\n\r\n`, entity, '');
  }
}

const PKCS7 = 'Content-Type: application/pkcs7-mime; name=smime.p7m';
const BASE64 = '\r\nContent-Transfer-Encoding: base64\r\n\r\n';

function joined(before: string, entity: Buffer, after: string): Buffer {
  return Buffer.concat([Buffer.from(before), entity, Buffer.from(after)]);
}

/** RFC 3274. */
function compressed(octets: Buffer): Buffer {
  const data = der.sequence(
    der.oid(contentTypes.data),
    der.explicit(0, der.octetString(deflateSync(octets))),
  );
  const algorithm = der.sequence(der.oid('1.2.840.113549.1.9.16.3.8'));
  return contentInfo(contentTypes.compressedData, der.sequence(der.integer(0), algorithm, data));
}

/** What Alice has signed: with her header in it, and without. */
async function signedByAlice(): Promise<{ octets: Buffer; withHeader: boolean }[]> {
  const header = 'From: alice@example.org\nTo: bob@example.org\nSubject: Genuine\n';
  const mail = crlf(`${header}Content-Type: text/plain\n\nGENUINE\n`);
  const forwarding = crlf(
    `${header}Content-Type: message/rfc822\n\nFrom: mallory@example.org\nSubject: Old\n\nGENUINE\n`,
  );
  const found: { octets: Buffer; withHeader: boolean }[] = [];
  for (const form of ['clear', 'opaque'] as const) {
    for (const headerProtection of [null, { kind: 'clear' } as const]) {
      for (const octets of [mail, forwarding]) {
        const options = { form, at: AT, headerProtection, boundary: 'alice' };
        const withHeader = headerProtection !== null;
        found.push({ octets: await signMessage(octets, people.signer('alice'), options), withHeader });
      }
    }
  }
  return found;
}

it('what somebody has signed is never trusted as hers with a frame of a stranger around it that says more', async () => {
  const genuine = await signedByAlice();
  let trusted = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...genuine),
      fc.boolean(),
      fc.array(step, { maxLength: 5 }),
      async ({ octets, withHeader }, keepsHeader, steps) => {
        const start = /Content-Type/.exec(octets.toString('latin1'))?.index ?? 0;
        let mail: Buffer = keepsHeader ? octets : octets.subarray(start);
        try {
          for (const one of steps) mail = await framed(mail, one);
        } catch (error) {
          // The frame is one that our own writer refuses to make.
          if (!(error instanceof SealgateError)) throw error;
          return;
        }
        const opening = await people.open(mail, [people.key('bob')]);
        if (opening.outcome === 'failed' || opening.outcome === 'no-key') return;
        if (decideInbound(opening.report).kind !== 'trusted') return;
        const isAlice = opening.from.kind === 'one' && opening.from.address.localPart === 'alice';
        if (!isAlice) return;
        trusted++;
        const shown = opening.entity.toString('latin1');
        const body = shown.slice(shown.search(/\r?\n\r?\n/));
        expect(body).not.toContain('FORGED');
        expect(opening.header?.toString() ?? '').not.toMatch(/FORGED|mallory/);
        // A protected header is either shown or has to be what stands outside.
        if (withHeader && opening.header === null) expect(shown).not.toContain('FORGED');
      },
    ),
    { numRuns: RUNS },
  );
  expect(trusted).toBeGreaterThan(0);
});
