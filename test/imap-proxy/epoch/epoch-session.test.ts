import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Epochs } from '../../../src/reading/epochs/login-epochs.ts';
import { readerOf } from '../../../src/reading/record-seal.ts';
import { epochMigrations } from '../../../src/store/epoch-migrations.ts';
import { SqliteEpochs } from '../../../src/store/epochs.ts';
import { openSqlite, type SqlStore } from '../../../src/store/sqlite.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from '../support/fake-upstream.ts';
import type { ImapConversation } from '../support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from '../support/listener.ts';

/** What clients are told of UIDVALIDITY, wherever a mail server says it. */

const READER = readerOf(Buffer.alloc(32, 7), '', 'bob@example.org');

let folder: string;
let store: SqlStore;
let epochs: SqliteEpochs;
let upstream: FakeUpstream;
let proxy: TestProxy;
const clients: ImapConversation[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-epochs-'));
  upstream = await FakeUpstream.start();
  await start();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await proxy.close();
  await upstream.close();
  await store.close();
  await rm(folder, { recursive: true });
});

async function start(): Promise<void> {
  store = await openSqlite(join(folder, 'epochs.sqlite'), epochMigrations);
  epochs = new SqliteEpochs(store, () => new Date());
  proxy = await startTestProxy(upstream.port, { reading: { epochs: new Epochs(epochs, () => new Date(0)) } });
}

class Session {
  readonly client: ImapConversation;
  readonly server: ImapConversation;
  constructor(client: ImapConversation, server: ImapConversation) {
    this.client = client;
    this.server = server;
  }

  /** What the mail server and then the client hear. `TAG` stands for the tag. */
  async says(command: string, answer: string, heard = command): Promise<string> {
    this.client.send(`t ${command}\r\n`);
    expect(await this.server.until(/\r\n$/)).toBe(`t ${heard}\r\n`);
    this.server.send(`${answer.replaceAll('TAG', 't')}\r\n`);
    return (await this.client.until(/(?:^|\n)t [A-Z]+[^\r]*\r\n/)).trimEnd();
  }

  async select(uidValidity: number, command = 'SELECT INBOX', heard = command): Promise<number> {
    const said = await this.says(
      command,
      `* 3 EXISTS\r\n* OK [UIDVALIDITY ${uidValidity}] x\r\n* OK [UIDNEXT 9] x\r\nTAG OK [READ-WRITE] in`,
      heard,
    );
    return Number(/\[UIDVALIDITY ([0-9]+)\] x/.exec(said)?.[1]);
  }
}

async function session(capabilities = CAPABILITIES): Promise<Session> {
  const { client, server } = await loggedIn(upstream, proxy.port, capabilities);
  clients.push(client);
  return new Session(client, server);
}

describe('without an epoch', () => {
  test('everything is said as the mail server says it, whatever that is', async () => {
    const one = await session();
    for (const uidValidity of [7, 9, 3]) expect(await one.select(uidValidity)).toBe(uidValidity);
    expect(await one.says('STATUS x (UIDVALIDITY)', '* STATUS x (UIDVALIDITY 5)\r\nTAG OK')).toBe(
      '* STATUS x (UIDVALIDITY 5)\r\nt OK',
    );
    expect(await one.says('UID COPY 1 x', 'TAG OK [COPYUID 5 1 2] x')).toBe('t OK [COPYUID 5 1 2] x');
    expect(await one.select(7, 'SELECT INBOX (QRESYNC (7 5 1:9))')).toBe(7);
  });
});

describe('with an epoch', () => {
  let one: Session;
  beforeEach(async () => {
    one = await session();
    expect(await one.select(7)).toBe(7);
    await epochs.begin(READER, 'INBOX');
  });

  test('the selected mailbox keeps what was told of it, and the next SELECT tells another one, for good', async () => {
    expect(await one.says('UID COPY 1 INBOX', 'TAG OK [COPYUID 7 1 2] x')).toBe('t OK [COPYUID 7 1 2] x');
    const two = await session();
    expect(await two.select(7)).toBe(8);
    expect(proxy.events.some(({ event }) => event === 'mailbox.epoch-begun')).toBe(true);
    // In the session that has it from before, and in the other one.
    expect(await one.says('UID COPY 1 INBOX', 'TAG OK [COPYUID 7 1 2] x')).toBe('t OK [COPYUID 7 1 2] x');
    expect(await two.says('UID COPY 1 INBOX', 'TAG OK [COPYUID 7 1 2] x')).toBe('t OK [COPYUID 8 1 2] x');
    expect(await one.select(7, 'EXAMINE inbox')).toBe(8);
    for (const client of clients.splice(0)) client.close();
    await proxy.close();
    await store.close();
    await start();
    expect(await (await session()).select(7)).toBe(8);
  });

  test('it is told wherever the mail server says it', async () => {
    await one.select(7);
    const status = '* STATUS "INBOX" (MESSAGES 1 UIDVALIDITY 7)\r\n';
    const told = status.replace('7', '8');
    expect(await one.says('STATUS INBOX (UIDVALIDITY)', `${status}TAG OK`)).toBe(`${told}t OK`);
    const list = 'LIST "" * RETURN (STATUS (UIDVALIDITY))';
    const other = '* LIST () "/" x\r\n* STATUS x (UIDVALIDITY 7)\r\n';
    expect(await one.says(list, `* LIST () "/" INBOX\r\n${status}${other}TAG OK`)).toBe(
      `* LIST () "/" INBOX\r\n${told}${other}t OK`,
    );
    const literal = '* STATUS {5}\r\nINBOX (UIDVALIDITY 7)\r\n';
    expect(await one.says('STATUS INBOX (UIDVALIDITY)', `${literal}TAG OK`)).toBe(
      `${literal.replace('7', '8')}t OK`,
    );
    expect(await one.says('UID MOVE 1 INBOX', '* OK [COPYUID 7 1 2] x\r\n* 1 EXPUNGE\r\nTAG OK')).toBe(
      '* OK [COPYUID 8 1 2] x\r\n* 1 EXPUNGE\r\nt OK',
    );
    expect(await one.says('UID COPY 1 x', 'TAG OK [COPYUID 7 1 2] x')).toBe('t OK [COPYUID 7 1 2] x');
    for (const name of ['INBOX', 'x']) {
      one.client.send(`a APPEND ${name} {5+}\r\nabcde\r\n`);
      await one.server.until(/abcde\r\n/);
      one.server.send('a OK [APPENDUID 7 3] stored\r\n');
      expect(await one.client.until(/a OK[^\r]*\r\n/)).toBe(
        `a OK [APPENDUID ${name === 'x' ? 7 : 8} 3] stored\r\n`,
      );
    }
    one.client.send('a APPEND {5+}\r\nINBOX {5+}\r\nabcde\r\n');
    await one.server.until(/abcde\r\n/);
    one.server.send('a OK [APPENDUID 7 3] stored\r\n');
    expect(await one.client.until(/a OK[^\r]*\r\n/)).toBe('a OK stored\r\n');
  });

  test('a client goes on with what it has of this epoch only', async () => {
    const qresync = (uidValidity: number) => `SELECT INBOX (QRESYNC (${uidValidity} 5 1:9))`;
    expect(await one.select(7, qresync(7), 'SELECT INBOX')).toBe(8);
    expect(await one.select(7, qresync(8), qresync(7))).toBe(8);
    expect(await one.select(7, qresync(7), 'SELECT INBOX')).toBe(8);
    expect(await one.select(7, 'SELECT x (QRESYNC (7 5))')).toBe(7);
    one.client.send('s SELECT {5+}\r\nINBOX (QRESYNC (7 5))\r\n');
    expect(await one.server.until(/INBOX\r\n$/)).toBe('s SELECT {5+}\r\nINBOX\r\n');
    one.server.send('* OK [UIDVALIDITY 7] x\r\ns OK\r\n');
    expect(await one.client.until(/s OK\r\n/)).toBe('* OK [UIDVALIDITY 8] x\r\ns OK\r\n');
  });

  test('another UIDVALIDITY of the mail server is told as a larger one, wherever it is said first', async () => {
    await one.select(7);
    await one.says('CLOSE', 'TAG OK');
    const status = (uidValidity: number) => `* STATUS INBOX (UIDVALIDITY ${uidValidity})`;
    expect(await one.says('STATUS INBOX (UIDVALIDITY)', `${status(3)}\r\nTAG OK`)).toBe(
      `${status(9)}\r\nt OK`,
    );
    expect(await one.select(3)).toBe(9);
    expect(await one.select(700)).toBe(700);
    expect(await one.select(3)).toBe(701);
    await epochs.begin(READER, null);
    expect(await one.select(3)).toBe(702);
    expect(await one.select(3, 'SELECT x')).toBe(4);
  });

  test('a COPYUID or APPENDUID with a number that nobody knows is left out, and makes no mailbox another one', async () => {
    await one.select(7);
    for (const number of [3, 9]) {
      expect(await one.says('UID COPY 1 INBOX', `TAG OK [COPYUID ${number} 1 2] x`)).toBe('t OK x');
      one.client.send('a APPEND INBOX {5+}\r\nabcde\r\n');
      await one.server.until(/abcde\r\n/);
      one.server.send(`a OK [APPENDUID ${number} 3]\r\n`);
      expect(await one.client.until(/a OK[^\r]*\r\n/)).toBe('a OK Done\r\n');
    }
    expect(await one.select(7)).toBe(8);
    // Of two that are on their way, the first is that of which nobody can tell the mailbox.
    one.client.send('a UID MOVE 1 %x\r\nb UID MOVE 2 INBOX\r\n');
    await one.server.until(/b UID MOVE 2 INBOX\r\n/);
    one.server.send('* OK [COPYUID 7 1 2] x\r\na OK\r\n* OK [COPYUID 7 2 3] x\r\nb OK\r\n');
    expect(await one.client.until(/b OK\r\n/)).toBe('* OK x\r\na OK\r\n* OK [COPYUID 8 2 3] x\r\nb OK\r\n');
  });

  test('a SELECT that waits for the commands before it tells what others were told meanwhile', async () => {
    one.client.send('n NOOP\r\nt SELECT INBOX\r\n');
    expect(await one.server.until(/\r\n/)).toBe('n NOOP\r\n');
    const two = await session();
    expect(await two.select(7)).toBe(8);
    one.server.send('n OK\r\n');
    await one.server.until(/t SELECT INBOX\r\n/);
    one.server.send('* OK [UIDVALIDITY 7] x\r\nt OK\r\n');
    expect(await one.client.until(/t OK\r\n/)).toContain('[UIDVALIDITY 8]');
  });

  test('a SELECT in no grammar is refused, and nothing behind it is lost', async () => {
    await one.select(7);
    one.client.send('s SELECT (x) {5+}\r\nINBOX\r\nn NOOP\r\n');
    expect(await one.client.until(/s BAD [^\r]*\r\n/)).toMatch(/^s BAD /);
    expect(await one.server.until(/\r\n/)).toBe('n NOOP\r\n');
  });

  test('a mailbox is told as the same by another name, and by its former name as another one', async () => {
    await one.says('CLOSE', 'TAG OK');
    await epochs.begin(READER, 'Work/a');
    expect(await one.select(5, 'SELECT Work/a')).toBe(6);
    one.client.send('t RENAME Work Play\r\n');
    const asked = await one.server.until(/ LIST "" ""\r\n/);
    one.server.send(`* LIST (\\Noselect) "/" ""\r\n${asked.split(' ')[0]} OK\r\n`);
    await one.server.until(/t RENAME Work Play\r\n/);
    one.server.send('t OK\r\n');
    await one.client.until(/t OK\r\n/);
    expect(await one.select(5, 'SELECT Play/a')).toBe(6);
    expect(await one.select(4, 'SELECT Work/a')).toBe(7);
  });

  test('a mailbox that is known by its id is told as the same, whoever has renamed it', async () => {
    const two = await session(`${CAPABILITIES} OBJECTID`);
    const select = async (name: string, id: string): Promise<number> => {
      two.client.send(`t SELECT ${name}\r\n`);
      const asked = await two.server.until(/ \(MAILBOXID\)\r\n/);
      expect(asked).toContain(`STATUS {${name.length}+}\r\n${name} (MAILBOXID)`);
      two.server.send(`* STATUS ${name} (MAILBOXID (${id}))\r\n${asked.split(' ')[0]} OK\r\n`);
      await two.server.until(/t SELECT [^\r]*\r\n/);
      two.server.send(`* OK [UIDVALIDITY 7] x\r\n* OK [MAILBOXID (${id})] x\r\nt OK\r\n`);
      return Number(/UIDVALIDITY ([0-9]+)/.exec(await two.client.until(/t OK\r\n/))?.[1]);
    };
    expect(await select('INBOX', 'F1')).toBe(8);
    expect(await select('Moved', 'F1')).toBe(8);
    expect(await select('Other', 'F2')).toBe(7);
    expect(await select('INBOX', 'F3')).toBe(9);
  });

  test('where it cannot be written down, nothing is told', async () => {
    await store.close();
    one.client.send('t SELECT INBOX\r\n');
    expect(await one.client.until(/t NO[^\r]*\r\n/)).toMatch(/^t NO \[UNAVAILABLE\] /);
  });

  test('a mail server that changes it in a selected mailbox ends the session, and one that tells it otherwise is not passed on', async () => {
    await one.select(7);
    expect(await one.says('NOOP', '* OK [UIDVALIDITY 7] again\r\nTAG OK')).toBe(
      '* OK [UIDVALIDITY 8] again\r\nt OK',
    );
    expect(await one.says('STATUS x (UIDVALIDITY)', '* STATUS x UIDVALIDITY 7\r\nTAG OK')).toBe('t OK');
    one.server.send('* OK [UIDVALIDITY 9] now\r\n');
    expect(await one.client.until(/\* BYE [^\r]*\r\n/)).toMatch(/^\* BYE /);
  });
});
