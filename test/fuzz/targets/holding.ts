import { AnswerAddresses } from '../../../src/holding/answer-address.ts';
import { readAnswer } from '../../../src/holding/answer-text.ts';
import { readContent, writeContent } from '../../../src/holding/held-content.ts';
import { HeldLinks } from '../../../src/holding/held-links.ts';
import { newMailId } from '../../../src/ids.ts';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { collectFrom } from '../../../src/octets/collect.ts';
import { type FuzzTarget, holds } from '../target.ts';

const UNTIL = new Date('2030-01-01T00:00:00Z');
const links = new HeldLinks(Buffer.alloc(32, 1), () => new Date('2029-12-20T00:00:00Z'));
const addresses = new AnswerAddresses(Buffer.alloc(32, 1), 'gateway@example.org');
const id = newMailId();

const plain = (text: string) =>
  Buffer.from(`From: a@example.org\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n`);
const answers = [
  plain('send'),
  plain('On Friday x wrote:\r\n> send\r\n\r\ndiscard it'),
  Buffer.from(
    'Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nd2FpdA==\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>send</p>\r\n--b--\r\n',
  ),
];

/** What reaches the gateway as an answer: mails, addresses and links that anybody may have written. */
export const holdingTargets: readonly FuzzTarget[] = [
  {
    name: 'holding-answer',
    form: 'lines',
    allowed: [],
    dictionary: [
      'send',
      'wait',
      'discard',
      '> ',
      ':',
      'wrote:',
      'Auto-Submitted: no',
      '=\r\n',
      'charset=utf-16',
    ],
    prepare: () => ({
      seeds: answers,
      run(input) {
        const read = readAnswer(input);
        if (read.kind === 'unclear') return read.publicText.length > 0;
        holds(
          read.messageId === null || /^<[\x21-\x7e]+>$/.test(read.messageId),
          'a Message-ID that is repeated is one line of ASCII',
        );
        return [read.word, read.messageId];
      },
    }),
  },
  {
    name: 'holding-link',
    form: 'octets',
    allowed: [],
    prepare: () => ({
      seeds: [links.toMail({ id, expiresAt: UNTIL }), links.toList('a@example.org')].map((one) =>
        Buffer.from(one),
      ),
      run(input) {
        const text = input.toString('latin1');
        const read = links.read(text);
        const known = [links.toMail({ id, expiresAt: UNTIL }), links.toList('a@example.org')];
        holds(read === null || known.includes(text), 'nobody makes a link');
        return read;
      },
    }),
  },
  {
    name: 'holding-address',
    form: 'octets',
    allowed: [],
    prepare: () => ({
      seeds: [addresses.of(id, UNTIL), 'gateway@example.org', 'gateway+x@example.org'].map((one) =>
        Buffer.from(one),
      ),
      run(input) {
        const text = input.toString('utf8');
        const at = text.lastIndexOf('@');
        const mailbox = { localPart: text.slice(0, Math.max(at, 0)), domain: text.slice(at + 1) };
        const own = addresses.isOwn(mailbox);
        const said = addresses.idIn(mailbox);
        holds(said === null || own, 'only the gateway’s own address names a mail');
        const is = addresses.isOf(mailbox, id, UNTIL);
        holds(!is || text.toLowerCase() === addresses.of(id, UNTIL), 'nobody makes an address');
        return [own, said, is];
      },
    }),
  },
  {
    name: 'holding-content',
    form: 'octets',
    allowed: [],
    prepare: async () => ({
      seeds: await Promise.all(
        [
          writeContent({
            encryptable: bufferSource(Buffer.from('abc')),
            headerProtection: null,
            readable: bufferSource(Buffer.from('de')),
            own: null,
          }),
          writeContent({
            encryptable: bufferSource(Buffer.from('')),
            headerProtection: { kind: 'clear' },
            readable: null,
            own: null,
          }),
        ].map((content) => collectFrom(content)),
      ),
      async run(input) {
        const content = await readContent(bufferSource(input));
        if (content === null) return null;
        const { encryptable, readable } = content;
        holds(encryptable.length + (readable?.length ?? 0) <= input.length, 'pieces lie in the file');
        return [encryptable.length, readable?.length ?? null];
      },
    }),
  },
];
