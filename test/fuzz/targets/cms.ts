import { universal } from '../../../src/asn1/element.ts';
import { children, readWhole } from '../../../src/asn1/reader.ts';
import * as der from '../../../src/asn1/writer.ts';
import { type Attribute, readAttributes, readCoveredAttributes } from '../../../src/cms/attributes.ts';
import { decompress } from '../../../src/cms/compressed-data.ts';
import { decrypt } from '../../../src/cms/decrypt.ts';
import { peekRecipients, readEnvelopedData } from '../../../src/cms/enveloped-data.ts';
import { readRecipientInfos } from '../../../src/cms/recipient-infos.ts';
import {
  contentTypeOf,
  messageDigestOf,
  readAlgorithmProtection,
  readCapabilities,
  readEncryptionKeyPreference,
  readSigningCertificate,
  readSigningTime,
} from '../../../src/cms/signed-attributes.ts';
import { certificatesOf, readSignedData, signerCandidates } from '../../../src/cms/signed-data.ts';
import { verifySignature } from '../../../src/cms/verify.ts';
import { SealgateError } from '../../../src/errors.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { Correspondents, compressed } from './messages.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n');
const allowed = ['cms.malformed'];

/** The elements of a message that are sets: attributes, RecipientInfos. */
function partsOf(message: Buffer, wanted: (raw: Buffer) => boolean): Buffer[] {
  const found: Buffer[] = [];
  const visit = (octets: Buffer, depth: number): void => {
    for (const child of children(readWhole(octets, 'BER'), 'BER')) {
      if (!child.constructed) continue;
      if (wanted(child.raw)) found.push(child.raw);
      if (depth < 12) visit(child.raw, depth + 1);
    }
  };
  visit(message, 0);
  return found;
}

function unlessUnreadable<T>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (
      error instanceof SealgateError &&
      ['cms.malformed', 'asn1.malformed', 'pki.malformed'].includes(error.code)
    )
      return error.code;
    throw error;
  }
}

function readAll(attributes: readonly Attribute[]): unknown[] {
  return [
    unlessUnreadable(() => readSigningTime(attributes)),
    unlessUnreadable(() => readCapabilities(attributes)),
    unlessUnreadable(() => readEncryptionKeyPreference(attributes)),
    unlessUnreadable(() => readSigningCertificate(attributes)),
    unlessUnreadable(() => readAlgorithmProtection(attributes)),
    unlessUnreadable(() => contentTypeOf(attributes)),
    unlessUnreadable(() => messageDigestOf(attributes)),
  ];
}

export const cmsTargets: readonly FuzzTarget[] = [
  {
    name: 'cms-signed-data',
    form: 'tlv',
    allowed,
    prepare: async () => {
      const people = new Correspondents();
      return {
        seeds: await people.signed(content),
        close: () => people.remove(),
        run(input) {
          const signedData = readSignedData(input);
          const certificates = certificatesOf(signedData);
          const found = signedData.signerInfos.map((info) => signerCandidates(info, certificates).length);
          return { type: signedData.contentType, content: signedData.content, crls: signedData.crls, found };
        },
      };
    },
  },
  {
    // Signatures with real keys: whatever is changed, what is good is over the octets that were signed.
    name: 'cms-verify',
    form: 'tlv',
    allowed,
    budget: { ms: 100, usPerOctet: 2 },
    caches: 8 * 1024 * 1024,
    prepare: async () => {
      const people = new Correspondents();
      const signed = await people.signed(content);
      const own = [people.alice, people.bob].map(({ certificate }) => certificate);
      return {
        seeds: signed,
        close: () => people.remove(),
        run(input) {
          const signedData = readSignedData(input);
          return signedData.signerInfos.slice(0, 4).map((info) => {
            const [certificate = people.alice.certificate] = signerCandidates(info, own);
            const over = signedData.content ?? content;
            const report = verifySignature(signedData, info, over, certificate);
            if (report.signature === 'good')
              holds(over.equals(content), 'a good signature is over what was signed');
            return report;
          });
        },
      };
    },
  },
  {
    name: 'cms-enveloped-data',
    form: 'tlv',
    allowed,
    prepare: async () => {
      const people = new Correspondents();
      return {
        seeds: await people.encrypted(content),
        close: () => people.remove(),
        run(input) {
          const { kind, ciphertext, mac, algorithm, recipientInfos } = readEnvelopedData(input);
          return { kind, ciphertext, mac, algorithm, recipientInfos, peeked: peekRecipients(input) };
        },
      };
    },
  },
  {
    // Private keys: nothing comes out but the content, a failure without a reason, or content that nobody vouches for.
    name: 'cms-decrypt',
    form: 'tlv',
    allowed,
    budget: { ms: 1_500, usPerOctet: 2 },
    prepare: async () => {
      const people = new Correspondents();
      const secrets = {
        sharedKeys: [{ identifier: Buffer.from('kek'), key: Buffer.alloc(16, 7) }],
        passwords: [Buffer.from('password')],
      };
      return {
        seeds: await people.encrypted(content),
        close: () => people.remove(),
        async run(input) {
          const outcome = await decrypt(input, people.keys, secrets);
          if (outcome.outcome === 'opened' && outcome.authenticated) {
            holds(
              outcome.content.equals(content),
              'what an authenticated message opens to is what was encrypted',
            );
          }
          if (outcome.outcome !== 'opened') holds(!('content' in outcome), 'a failure has no content');
          return outcome;
        },
      };
    },
  },
  {
    name: 'cms-compressed-data',
    form: 'tlv',
    allowed,
    budget: { ms: 100, usPerOctet: 2 },
    prepare: () => ({
      seeds: [compressed(content), compressed(Buffer.alloc(20_000, 'abc'))],
      async run(input) {
        const outcome = await decompress(input, 100_000);
        if (outcome.outcome === 'opened')
          holds(outcome.content.length <= 100_000, 'content keeps to its bound');
        return outcome;
      },
    }),
  },
  {
    name: 'cms-attributes',
    form: 'tlv',
    allowed: ['cms.malformed', 'asn1.malformed'],
    prepare: async () => {
      const people = new Correspondents();
      const signed = (await people.signed(content)).slice(0, -1);
      people.remove();
      const sets = signed.flatMap((message) => partsOf(message, (raw) => raw[0] === 0xa0 && raw[2] === 0x30));
      return {
        seeds: sets.filter(
          (raw) => typeof unlessUnreadable(() => readAttributes(readWhole(raw, 'BER'))) !== 'string',
        ),
        run(input) {
          const element = readWhole(input, 'BER');
          const covered = readCoveredAttributes(element);
          const encodings = [...covered.encodings()];
          holds(
            encodings.length <= 2 && encodings.every((octets) => octets[0] === 0x31),
            'covered as SET OF',
          );
          holds(
            covered.list.length === readAttributes(element).length,
            'both readers find the same attributes',
          );
          return [encodings, readAll(covered.list)];
        },
      };
    },
  },
  {
    name: 'cms-recipient-infos',
    form: 'tlv',
    allowed: ['cms.malformed', 'asn1.malformed'],
    prepare: async () => {
      const people = new Correspondents();
      const encrypted = await people.encrypted(content);
      people.remove();
      return {
        seeds: encrypted
          .flatMap((message) => partsOf(message, (raw) => raw[0] === universal.set + 0x20))
          .slice(0, 12),
        run: (input) => readRecipientInfos(readWhole(input, 'BER')),
        dictionary: [der.oid('1.2.840.113549.1.9.16.13.3')],
      };
    },
  },
];
