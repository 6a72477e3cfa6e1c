import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ImapClient } from './support/imap-client.ts';
import { fetched, type Response } from './support/imap-response.ts';
import { appendAll, smallMail } from './support/many-messages.ts';
import type { ClassMessage } from './support/message-classes.ts';
import { Random } from './support/random.ts';
import { Remembered } from './support/remembered.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

/** The checks of Dovecot's imaptest, whose clients do what they like in one mailbox: what is said of a UID stays so. */

const CLIENTS = 10;
const COMMANDS = 60;

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

/** A session that follows its mailbox as RFC 9051 §7.4 and §7.5 tell it. */
class Follower {
  readonly client: ImapClient;
  readonly #remembered: Remembered;
  /** UIDs by message number; null: not told yet. */
  uids: (number | null)[] = [];

  constructor(client: ImapClient, remembered: Remembered) {
    this.client = client;
    this.#remembered = remembered;
  }

  async run(command: string, literal?: Buffer): Promise<'OK' | 'NO' | 'BAD'> {
    const pieces = literal === undefined ? [command] : [command, literal];
    const { status, untagged, text } = await this.client.command(...pieces);
    // Of messages that somebody else has expunged a server may say anything (RFC 5530 §3, EXPUNGEISSUED).
    const believed = !text.startsWith('[EXPUNGEISSUED]');
    for (const response of untagged) this.#take(response, command, believed);
    if (status === 'BAD') this.#remembered.problems.push(`${command}: BAD ${text}`);
    return status;
  }

  #take(response: Response, command: string, believed: boolean): void {
    const number = /^([0-9]+) (EXISTS|EXPUNGE)$/.exec(response.text);
    if (number?.[2] === 'EXISTS') {
      const count = Number(number[1]);
      if (count < this.uids.length) this.#remembered.problems.push(`EXISTS ${count} of ${this.uids.length}`);
      while (this.uids.length < count) this.uids.push(null);
    } else if (number?.[2] === 'EXPUNGE') {
      if (/^(?:FETCH|STORE|SEARCH) /.test(command))
        this.#remembered.problems.push(`EXPUNGE during ${command}`);
      this.uids.splice(Number(number[1]) - 1, 1);
    }
    const vanished = /^VANISHED ([0-9:,]+)$/.exec(response.text)?.[1];
    if (vanished !== undefined) {
      for (const uid of uidsOf(vanished)) {
        // One that was not told yet is the last unknown before those that are higher.
        const higher = this.uids.findIndex((each) => each !== null && each > uid);
        const known = this.uids.indexOf(uid);
        const at =
          known === -1 ? this.uids.lastIndexOf(null, higher === -1 ? this.uids.length : higher) : known;
        if (at !== -1) this.uids.splice(at, 1);
      }
    }
    const answer = fetched(response);
    if (answer === null) return;
    const uid = answer.items.has('UID') ? Number(answer.items.get('UID')) : null;
    const known = this.uids[answer.msn - 1];
    if (known === undefined) this.#remembered.problems.push(`FETCH of ${answer.msn} of ${this.uids.length}`);
    else if (known === null) this.uids[answer.msn - 1] = uid;
    else if (uid !== null && uid !== known)
      this.#remembered.problems.push(`UID of ${answer.msn} changed: ${known} to ${uid} (${command})`);
    const of = uid ?? known;
    if (believed && of !== null && of !== undefined) this.#remembered.see(of, answer.items);
  }
}

function uidsOf(set: string): number[] {
  return set.split(',').flatMap((range) => {
    const [from = '', to = from] = range.split(':');
    return Array.from({ length: Number(to) - Number(from) + 1 }, (_, index) => Number(from) + index);
  });
}

const ITEMS = [
  'BODY.PEEK[]',
  'RFC822.SIZE BODY.PEEK[]',
  'BODYSTRUCTURE',
  'BODY',
  'ENVELOPE INTERNALDATE',
  'RFC822.SIZE FLAGS',
  'RFC822.HEADER',
  'BODY.PEEK[HEADER.FIELDS (FROM SUBJECT CONTENT-TYPE)]',
  'BODY.PEEK[HEADER]',
  'BODY.PEEK[TEXT]',
  'BODY.PEEK[1]',
  'BODY.PEEK[1.MIME]',
  'BODY.PEEK[]<100.500>',
  'BODY[1]<0.20>',
  'BODYSTRUCTURE BODY.PEEK[1.1] RFC822.SIZE',
];

/** One command of a client that does what it likes. */
async function anything(
  follower: Follower,
  random: Random,
  name: string,
  mails: readonly Buffer[],
): Promise<void> {
  const count = follower.uids.length;
  const set = (): string => {
    const from = 1 + random.below(count);
    return `${from}:${Math.min(count, from + random.below(6))}`;
  };
  const uids = follower.uids.filter((uid) => uid !== null);
  const choice = count === 0 ? 90 : random.below(100);
  if (choice < 40) await follower.run(`FETCH ${set()} (UID ${random.one(ITEMS)})`);
  else if (choice < 60 && uids.length > 0)
    await follower.run(`UID FETCH ${random.one(uids)},${random.one(uids)} (${random.one(ITEMS)})`);
  else if (choice < 72)
    await follower.run(`STORE ${set()} +FLAGS (${random.one(['\\Seen', '\\Flagged', 'word'])})`);
  else if (choice < 78 && count > 12)
    await follower.run(`STORE ${1 + random.below(count)} +FLAGS (\\Deleted)`);
  else if (choice < 83) await follower.run('EXPUNGE');
  else if (choice < 88) await follower.run('NOOP');
  else await follower.run(`APPEND ${name} `, random.one(mails));
}

/** Not those whose first listing uses no key and says less than what is opened, nor those that are longer than announced. */
function constant(): readonly ClassMessage[] {
  return mailbox.messages.filter(({ name, longer }) => name !== 'header-protected' && longer !== true);
}

async function stress(name: string, select: (round: number) => string, setUp: string[]): Promise<Remembered> {
  const mails = [...constant().map(({ octets }) => octets), smallMail('small'), smallMail('smaller')];
  const direct = await mailbox.direct();
  await direct.create(name);
  await appendAll(direct, name, [...mails, ...mails]);
  direct.close();
  const remembered = new Remembered();
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, number) => {
      const random = new Random(4_711 + number);
      for (let round = 0; round < 2; round++) {
        const follower = new Follower(await mailbox.through(), remembered);
        for (const command of setUp) await follower.run(command);
        await follower.run(select(round));
        await follower.run('FETCH 1:* (UID FLAGS)');
        for (let step = 0; step < COMMANDS / 2; step++) await anything(follower, random, name, mails);
        await follower.run('NOOP');
        follower.client.close();
      }
    }),
  );
  return remembered;
}

test('27: ten clients fetch, expunge, store and append in one mailbox: nothing that was said of a UID changes', async () => {
  const remembered = await stress('Stress', () => 'SELECT Stress', []);
  expect(remembered.problems).toEqual([]);
  expect(remembered.compared).toBeGreaterThan(300);
});

test('28: the same with QRESYNC: VANISHED in the place of EXPUNGE, and sessions that resume', async () => {
  const direct = await mailbox.direct();
  await direct.create('Resync');
  const { untagged } = await direct.ok('SELECT Resync (CONDSTORE)');
  const uidValidity = /UIDVALIDITY ([0-9]+)/.exec(untagged.map(({ text }) => text).join(' '))?.[1];
  direct.close();
  const remembered = await stress(
    'Resync',
    (round) =>
      round === 0 ? 'SELECT Resync (CONDSTORE)' : `SELECT Resync (QRESYNC (${uidValidity} 1 1:200))`,
    ['ENABLE QRESYNC'],
  );
  expect(remembered.problems).toEqual([]);
  expect(remembered.compared).toBeGreaterThan(300);
});

test('28: a session that resumes is told of every flag and every message that went, as by the mail server alone', async () => {
  const direct = await mailbox.direct();
  await direct.create('Resumed');
  await appendAll(
    direct,
    'Resumed',
    mailbox.messages.map(({ octets }) => octets),
  );
  const { untagged } = await direct.ok('SELECT Resumed (CONDSTORE)');
  const codes = untagged.map(({ text }) => text).join(' ');
  const uidValidity = /UIDVALIDITY ([0-9]+)/.exec(codes)?.[1];
  const modSeq = /HIGHESTMODSEQ ([0-9]+)/.exec(codes)?.[1];
  await direct.ok('STORE 5:6 +FLAGS (\\Flagged)');
  await direct.ok('STORE 8 +FLAGS (\\Deleted)');
  await direct.ok('EXPUNGE');
  const told: string[] = [];
  for (const open of [mailbox.through, mailbox.direct]) {
    const client = await open();
    await client.ok('ENABLE QRESYNC');
    const answer = await client.ok(`SELECT Resumed (QRESYNC (${uidValidity} ${modSeq} 1:18))`);
    told.push(
      answer.untagged
        .map(({ text }) => text)
        .filter((text) => /FETCH|VANISHED/.test(text))
        .join('\n')
        .replace(/\\Recent ?/g, ''),
    );
    // What has changed comes without a key; what is asked for then is the view.
    const [body] = await client.fetch(`UID FETCH 5 (BODY.PEEK[]) (CHANGEDSINCE ${modSeq})`);
    expect(body?.items.has('BODY[]')).toBe(true);
    client.close();
  }
  expect(told[0]).toContain('VANISHED (EARLIER) 8');
  expect(told[0]).toBe(told[1]);
  direct.close();
});
