import type { ParsedMail } from 'mailparser';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addressOf,
  type MailSystem,
  opensslOpen,
  opensslVerify,
  startMailSystem,
} from '../support/mail-system.ts';
import { aliceGets, signedBy } from './support/from-elsewhere.ts';
import { TakenLater } from './support/taken-later.ts';

/**
 * M15: the first mail encrypted to somebody without a certificate. A mail program says that it is missing and asks whether to send signed
 * only; here the rule says what happens, and where it says `ask` the question comes by mail. Authors choose among the rules by a tag.
 */

const VALUES = ['refuse-all', 'send-signed', 'hold', 'ask'] as const;
const BOB = addressOf('bob');

let system: MailSystem;
let taken: TakenLater;

beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob', 'carol'],
    withoutKeys: ['bob', 'carol'],
    queue: {},
    rules: [
      ...VALUES.map((value) => ({
        name: value,
        when: { subjectTag: [value] },
        ...{ sign: 'require', encrypt: 'require', withoutCertificate: value },
      })),
      { name: 'rest', sign: 'require', encrypt: 'if-possible' },
    ],
  });
  taken = new TakenLater(system);
});
afterAll(() => system?.stop());

function write(value: (typeof VALUES)[number], text: string, to = BOB): Promise<string> {
  return system.send('alice', { to, subject: `[${value}] ${text}`, text: `the key to the ${text}` });
}

/** The next mail that the gateway has written to alice. */
async function fromGateway(): Promise<ParsedMail> {
  const { octets } = await taken.next('alice');
  return simpleParser(octets);
}

function answer({ replyTo, from, subject, messageId, text }: ParsedMail, word: string): Promise<string> {
  const to = (replyTo ?? from)?.value[0]?.address ?? '';
  const quoted = (text ?? '').replace(/^/gm, '> ');
  return system.send('alice', {
    ...{ to, subject: `Re: ${subject}`, inReplyTo: messageId ?? '' },
    text: `${word}\r\n\r\nOn some day the gateway wrote:\r\n${quoted}`,
  });
}

describe('M15: the first mail encrypted to somebody without a certificate', () => {
  it('refuse-all: it is refused, and the reply names him and says what to do', async () => {
    await expect(write('refuse-all', 'cellar')).rejects.toThrow(
      /550 5\.7\.1 .*bob@sealgate\.test.*no valid certificate is known.*Ask for a digitally signed mail/s,
    );
    expect(taken.more('bob')).toBe(0);
  });

  it('send-signed: it leaves signed, readable by others', async () => {
    expect(await write('send-signed', 'attic')).toMatch(/^250 /);
    const { octets } = await taken.next('bob');
    expect((await opensslVerify(system, octets)).toString()).toContain('the key to the attic');
  });

  it('ask: alice is asked by mail, says in her answer that it shall be sent, and it leaves signed', async () => {
    expect(await write('ask', 'garden')).toMatch(/^250 /);
    const question = await fromGateway();
    expect(question.from?.value[0]?.address).toContain('gateway');
    expect(question.text).toContain(BOB);
    expect(question.text).not.toContain('the key to the garden');
    expect(taken.more('bob')).toBe(0);
    expect(await answer(question, 'Send, please.')).toMatch(/^250 /);
    const { octets } = await taken.next('bob');
    expect((await opensslVerify(system, octets)).toString()).toContain('the key to the garden');
    expect((await fromGateway()).subject).toMatch(/signed and not encrypted/);
  });

  it('ask: she says that it shall be discarded, and it never leaves', async () => {
    expect(await write('ask', 'stable')).toMatch(/^250 /);
    expect(await answer(await fromGateway(), 'discard')).toMatch(/^250 /);
    expect((await fromGateway()).subject).toMatch(/discarded/);
  });

  it('hold, and ask without an answer: both leave encrypted once his certificate comes, by any signed mail', async () => {
    expect(await write('hold', 'harbour')).toMatch(/^250 /);
    expect(await write('ask', 'tower')).toMatch(/^250 /);
    await fromGateway();
    expect(taken.more('bob')).toBe(0);
    await aliceGets(
      system,
      await signedBy(system.user('bob').identity, 'Content-Type: text/plain\r\n\r\nhello\r\n'),
    );
    const both = [await taken.next('bob'), await taken.next('bob')];
    const texts = await Promise.all(
      both.map(async ({ octets }) => {
        expect(octets.toString()).not.toContain('the key to the');
        return (await opensslOpen(system, octets, 'bob')).toString();
      }),
    );
    expect(texts.join()).toContain('the key to the harbour');
    expect(texts.join()).toContain('the key to the tower');
    expect(texts.join()).not.toContain('the key to the stable');
    expect(taken.more('bob')).toBe(0);
  });
});
