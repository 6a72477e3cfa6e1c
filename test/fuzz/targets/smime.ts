import { contentTypes } from '../../../src/cms/oids.ts';
import { readMessage } from '../../../src/mail/entity-tree.ts';
import { sevenBitSafe } from '../../../src/mail/seven-bit-safe.ts';
import { encodeBase64 } from '../../../src/mail/transfer-encoding.ts';
import { recipientsAmong } from '../../../src/smime/beginning-of-encrypted.ts';
import { encryptMessage } from '../../../src/smime/encrypt.ts';
import { openMessage } from '../../../src/smime/open.ts';
import { recognise } from '../../../src/smime/recognise.ts';
import { signMessage } from '../../../src/smime/sign.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { corpusFiles } from './corpus.ts';
import { mailDictionary, mails } from './mail.ts';
import { Correspondents, compressed } from './messages.ts';

export const smimeDictionary = [
  ...mailDictionary,
  'Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n',
  'Content-Type: application/octet-stream; name=smime.p7m\r\n',
  'protocol="application/pkcs7-signature"',
  'smime-type=enveloped-data',
  'smime-type=compressed-data',
  'hp="clear"',
  'hp="cipher"',
  'protected-headers="v1"',
  'HP-Outer: Subject: ...\r\n',
  contentTypes.data,
];

const SECRET = 'the wording that was signed';

export async function smimeMessages(people: Correspondents): Promise<Buffer[]> {
  const plain = Buffer.from(
    `From: alice@example.org\r\nTo: bob@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n` +
      `Content-Type: text/plain; charset=utf-8\r\n\r\n${SECRET}\r\n`,
  );
  const at = new Date('2026-01-01T00:00:00Z');
  const clear = await signMessage(plain, people.signer, { form: 'clear', at });
  const opaque = await signMessage(plain, people.signer, { form: 'opaque', at });
  const recipients = [people.alice, people.bob].map(({ certificate }) => ({ certificate }));
  return [
    clear,
    opaque,
    await encryptMessage(clear, recipients, 'aes256-gcm'),
    await encryptMessage(opaque, recipients.slice(0, 1), 'aes128-cbc'),
    Buffer.concat([
      Buffer.from(
        'From: alice@example.org\r\nContent-Type: application/pkcs7-mime; smime-type=compressed-data\r\n',
      ),
      Buffer.from('Content-Transfer-Encoding: base64\r\n\r\n'),
      encodeBase64(compressed(sevenBitSafe(plain))),
    ]),
    ...mails,
    ...corpusFiles('', /\.eml$/, 12),
  ];
}

export const smimeTargets: readonly FuzzTarget[] = [
  {
    name: 'smime-recognise',
    form: 'lines',
    allowed: ['mail.'],
    dictionary: smimeDictionary,
    prepare: () => ({ seeds: mails, run: (input) => recognise(readMessage(input)) }),
  },
  {
    // What a listing asks ahead: the same of a beginning as of the whole, or nothing.
    name: 'smime-recipients-ahead',
    form: 'mail',
    allowed: [],
    dictionary: smimeDictionary,
    prepare: async () => {
      const people = new Correspondents();
      const certificates = [people.alice.certificate];
      return {
        seeds: await smimeMessages(people),
        close: () => people.remove(),
        async run(input) {
          const end = input.indexOf('\r\n\r\n') + 4;
          const header = input.subarray(0, end);
          const body = input.subarray(end);
          const whole = await recipientsAmong({ header, body, whole: true }, certificates);
          for (const octets of [100, 1_000, 8_192]) {
            if (octets >= body.length) continue;
            const some = await recipientsAmong(
              { header, body: body.subarray(0, octets), whole: false },
              certificates,
            );
            holds(
              some === whole || some === 'unknown' || whole === 'unknown',
              'a beginning says what the whole says',
            );
          }
          return whole;
        },
      };
    },
  },
  {
    // Whole messages with real keys. The function promises an outcome for whatever a message contains.
    name: 'smime-open',
    form: 'mail',
    allowed: [],
    dictionary: smimeDictionary,
    budget: { ms: 1_000, usPerOctet: 5 },
    caches: 24 * 1024 * 1024,
    prepare: async () => {
      const people = new Correspondents();
      const context = {
        at: new Date(),
        anchors: [people.folder.authority.certificate],
        pool: [people.alice.certificate, people.bob.certificate],
      };
      return {
        seeds: await smimeMessages(people),
        close: () => people.remove(),
        async run(input) {
          const { outcome, entity, report } = await openMessage(input, people.keys, context);
          if (outcome !== 'opened') holds(entity.equals(input), 'what is not opened is shown as it is');
          const good = report.layers.flatMap((layer) =>
            layer.kind !== 'signed'
              ? []
              : layer.signatures.filter(
                  ({ signature, speaksFor, path }) =>
                    signature === 'good' && speaksFor === 'from' && path?.outcome === 'valid',
                ),
          );
          // Alice has signed nothing else.
          if (good.length > 0) holds(entity.includes(SECRET), 'what is vouched for is what was signed');
          return { outcome, entity, layers: report.layers.map(({ kind }) => kind), good: good.length };
        },
      };
    },
  },
];
