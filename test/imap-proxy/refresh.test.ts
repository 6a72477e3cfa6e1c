import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { copiedTo } from '../../src/imap-proxy/refresh/give-new-uid.ts';
import { REFRESH_MS, TriedMessages } from '../../src/imap-proxy/refresh/refreshing.ts';
import { Openings } from '../../src/reading/openings.ts';
import { RecordedMailboxes } from '../../src/reading/recorded-mailbox.ts';
import { systemTimers, type Timers } from '../../src/reading/timers.ts';
import type { ViewRecords } from '../../src/reading/view-records.ts';
import { CountedSpool } from './support/counted-spool.ts';
import { FakeTimers } from './support/fake-timers.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

const LOGIN = 'bob@example.org';
const MAIL = toyEncrypted(['Subject: sealed'], 'Content-Type: text/plain\r\n\r\nwords\r\n');

/** Records of a mailbox in which these were shown as such that no key opens. */
function shownWithoutKey(uids: readonly number[], outdated: readonly number[] = []): RecordedMailboxes {
  const records: Partial<ViewRecords> = {
    mailbox: async () => ({ id: 1, eras: '', recorded: [] }),
    setEras: async () => undefined,
    servedAs: async () => uids.map(String),
    outdated: async () => outdated.map(String),
  };
  return new RecordedMailboxes(records as ViewRecords);
}

async function proxyFor(
  port: number,
  uids: readonly number[],
  fits = true,
  timers: Timers = systemTimers,
): Promise<TestProxy> {
  return startTestProxy(port, {
    timers,
    reading: { recorded: shownWithoutKey(uids) },
    refresh: {
      messages: 10,
      fit: { keys: async () => 'k', fits: async () => fits },
      tried: new TriedMessages(),
    },
  });
}

describe('a mail server that says what a test says', () => {
  let upstream: FakeUpstream;
  let proxy: TestProxy;
  let client: ImapConversation;
  let server: ImapConversation;
  let timers: FakeTimers;

  beforeEach(async () => {
    timers = new FakeTimers();
    upstream = await FakeUpstream.start();
  });
  afterEach(async () => {
    client.socket.destroy();
    await upstream.close();
    await proxy.close();
  });

  /** Up to where a NOOP is asked for. */
  async function begin(
    capabilities: string,
    uids = [5],
    fits = true,
    answer = 'OK [READ-WRITE] in',
  ): Promise<void> {
    proxy = await proxyFor(upstream.port, uids, fits, timers);
    ({ client, server } = await loggedIn(upstream, proxy.port, capabilities));
    client.send('s SELECT "My Box"\r\n');
    await server.until(/s SELECT "My Box"\r\n/);
    server.send(`* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\ns ${answer}\r\n`);
    await client.until(/s OK[^\r]*\r\n/);
    client.send('n NOOP\r\n');
  }

  /** Answers the next command of the gateway's own, which has to match. */
  async function answered(command: RegExp, ...answers: string[]): Promise<void> {
    const said = await server.until(/^(?:[^\r]*\{\d+\+\}\r\n[^\r]*|[^\r]*[^}\r])\r\n/);
    expect(said).toMatch(command);
    const tag = said.split(' ')[0] ?? '';
    server.send(answers.map((answer) => `${answer.replace('TAG', tag)}\r\n`).join(''));
  }

  const found = () => answered(/ UID SEARCH UID 5 UNDELETED\r\n$/, '* SEARCH 5', 'TAG OK');
  const fetched = () =>
    answered(
      / UID FETCH 5 \(UID BODY\.PEEK\[\]\)\r\n$/,
      `* 1 FETCH (UID 5 BODY[] {${MAIL.length}}\r\n${MAIL.toString('latin1')})`,
      'TAG OK',
    );
  const goesOn = async () => {
    expect(await server.until(/\r\n/)).toBe('n NOOP\r\n');
    server.send('n OK\r\n');
    await client.until(/n OK\r\n/);
  };
  const COPY = / UID COPY 5 \{6\+\}\r\nMy Box\r\n$/;
  const THERE = new RegExp(
    ` UID SEARCH UID 9 UNDELETED LARGER ${MAIL.length - 1} SMALLER ${MAIL.length + 1}\r\n$`,
  );

  test('MOVE: the news go to the client, then its own command goes on', async () => {
    await begin(`${CAPABILITIES} MOVE`);
    await found();
    await fetched();
    await answered(/ UID MOVE 5 \{6\+\}\r\nMy Box\r\n$/, '* 1 EXPUNGE', '* 3 EXISTS', 'TAG OK');
    expect(await server.until(/\r\n/)).toBe('n NOOP\r\n');
    server.send('n OK\r\n');
    expect(await client.until(/n OK\r\n/)).toBe('* 1 EXPUNGE\r\n* 3 EXISTS\r\nn OK\r\n');
    expect(proxy.events.some(({ event }) => event === 'mail.renewed')).toBe(true);
    // Once for each SELECT.
    client.send('n NOOP\r\n');
    await goesOn();
  });

  test('what another renderer has served gets a new UID, whether a key fits or not', async () => {
    proxy = await startTestProxy(upstream.port, {
      timers,
      reading: { recorded: shownWithoutKey([], [5]) },
      refresh: {
        messages: 10,
        fit: { keys: async () => 'k', fits: async () => false },
        tried: new TriedMessages(),
      },
    });
    ({ client, server } = await loggedIn(upstream, proxy.port, `${CAPABILITIES} MOVE`));
    client.send('s SELECT "My Box"\r\n');
    await server.until(/s SELECT "My Box"\r\n/);
    server.send('* OK [UIDVALIDITY 7] x\r\ns OK [READ-WRITE] in\r\n');
    await client.until(/s OK[^\r]*\r\n/);
    client.send('n NOOP\r\n');
    await found();
    await fetched();
    await answered(/ UID MOVE 5 /, '* 1 EXPUNGE', '* 3 EXISTS', 'TAG OK');
    await goesOn();
  });

  test('a client that goes while its message is looked at has not tried it: its next session does', async () => {
    await begin(`${CAPABILITIES} MOVE`);
    await found();
    expect(await server.until(/\r\n/)).toMatch(/ UID FETCH 5 /);
    client.close();
    await server.rest();
    ({ client, server } = await loggedIn(upstream, proxy.port, `${CAPABILITIES} MOVE`));
    client.send('s SELECT "My Box"\r\n');
    await server.until(/s SELECT "My Box"\r\n/);
    server.send('* OK [UIDVALIDITY 7] x\r\ns OK [READ-WRITE] in\r\n');
    await client.until(/s OK[^\r]*\r\n/);
    client.send('n NOOP\r\n');
    await found();
    await fetched();
    await answered(/ UID MOVE 5 /, '* 1 EXPUNGE', '* 3 EXISTS', 'TAG OK');
    await goesOn();
  });

  test('where nobody can say whether a key fits the session ends, and gives back what it had', async () => {
    const spool = new CountedSpool();
    const openings = new Openings({ opening: { all: 2, each: 2 }, waiting: { all: 2, each: 2 } });
    const fit = { keys: async () => 'k', fits: () => Promise.reject(new Error('a defect')) };
    proxy = await startTestProxy(upstream.port, {
      ...{ timers, spool, openings, reading: { recorded: shownWithoutKey([5]) } },
      refresh: { messages: 10, fit, tried: new TriedMessages() },
    });
    ({ client, server } = await loggedIn(upstream, proxy.port, `${CAPABILITIES} MOVE`));
    client.send('s SELECT "My Box"\r\n');
    await server.until(/s SELECT "My Box"\r\n/);
    server.send('* OK [UIDVALIDITY 7] x\r\ns OK [READ-WRITE] in\r\n');
    await client.until(/s OK[^\r]*\r\n/);
    client.send('n NOOP\r\n');
    await found();
    await fetched();
    expect(await client.rest()).toContain('* BYE ');
    expect([spool.live, openings.hasSpare(LOGIN)]).toEqual([0, true]);
  });

  test('COPY: the original goes only after its copy was found, in its size', async () => {
    await begin(CAPABILITIES);
    await found();
    await fetched();
    await answered(COPY, '* 4 EXISTS', 'TAG OK [COPYUID 7 5 9] done');
    await answered(THERE, '* SEARCH 9', 'TAG OK');
    await answered(/ UID STORE 5 \+FLAGS\.SILENT \(\\Deleted\)\r\n$/, 'TAG OK');
    await answered(/ UID EXPUNGE 5\r\n$/, '* 1 EXPUNGE', 'TAG OK');
    await goesOn();
  });

  test.each([
    ['COPY is refused', [['TAG NO no']]],
    ['COPY does not say where to', [['TAG OK done']]],
    ['COPY says another mailbox', [['TAG OK [COPYUID 8 5 9] done']]],
    ['COPY says another message', [['TAG OK [COPYUID 7 6 9] done']]],
    ['COPY made nothing new', [['TAG OK [COPYUID 7 5 5] done']]],
    ['the copy is not there', [['TAG OK [COPYUID 7 5 9] done'], ['* SEARCH', 'TAG OK']]],
    ['nobody says whether it is there', [['TAG OK [COPYUID 7 5 9] done'], ['TAG NO']]],
    ['it cannot be marked', [['TAG OK [COPYUID 7 5 9] done'], ['* SEARCH 9', 'TAG OK'], ['TAG NO']]],
  ])('the original stays where %s', async (_, steps) => {
    await begin(CAPABILITIES);
    await found();
    await fetched();
    for (const [at, answers] of steps.entries()) {
      await answered([COPY, THERE, / UID STORE 5 /][at] ?? /never/, ...answers);
    }
    await goesOn();
  });

  test('a MOVE that is refused is no COPY: what may not be removed would be there twice', async () => {
    await begin(`${CAPABILITIES} MOVE`);
    await found();
    await fetched();
    await answered(/ UID MOVE 5 /, 'TAG NO [NOPERM] not yours');
    await goesOn();
  });

  test.each(['lrswi', 'lrswit', 'lrswie'])(
    'nothing is copied where a message may not be removed: MYRIGHTS %s',
    async (rights) => {
      await begin(`${CAPABILITIES} ACL`);
      await found();
      await fetched();
      await answered(/ MYRIGHTS \{6\+\}\r\nMy Box\r\n$/, `* MYRIGHTS "My Box" ${rights}`, 'TAG OK');
      await goesOn();
    },
  );

  test('COPY with the rights for it', async () => {
    await begin(`${CAPABILITIES} ACL`);
    await found();
    await fetched();
    await answered(/ MYRIGHTS /, '* MYRIGHTS "My Box" lrswite', 'TAG OK');
    await answered(COPY, 'TAG NO no');
    await goesOn();
  });

  test('what is shown without a key again is not moved again', async () => {
    const uids = [5];
    await begin(`${CAPABILITIES} MOVE`, uids);
    await found();
    await fetched();
    await answered(/ UID MOVE 5 /, '* OK [COPYUID 7 5 9] x', '* 1 EXPUNGE', '* 3 EXISTS', 'TAG OK');
    await goesOn();
    // It is opened, and another layer of it is for somebody else.
    uids[0] = 9;
    client.send('s SELECT "My Box"\r\n');
    await server.until(/s SELECT "My Box"\r\n/);
    server.send('* OK [UIDVALIDITY 7] x\r\ns OK [READ-WRITE] in\r\n');
    await client.until(/s OK[^\r]*\r\n/);
    client.send('n NOOP\r\n');
    await answered(/ UID SEARCH UID 9 UNDELETED\r\n$/, '* SEARCH 9', 'TAG OK');
    await answered(
      / UID FETCH 9 \(UID BODY\.PEEK\[\]\)\r\n$/,
      `* 3 FETCH (UID 9 BODY[] {${MAIL.length}}\r\n${MAIL.toString('latin1')})`,
      'TAG OK',
    );
    await goesOn();
  });

  test('two sessions do not give the same message two new UIDs', async () => {
    await begin(CAPABILITIES);
    await found();
    await fetched();
    const asked = await server.until(COPY);
    const opening = ImapConversation.open(proxy.port);
    const second = await upstream.accept();
    second.send(`* OK [CAPABILITY ${CAPABILITIES}] hello\r\n`);
    const other = await opening;
    other.send(`l LOGIN ${LOGIN} secret\r\n`);
    await second.until(/^l AUTHENTICATE PLAIN [^\r\n]*\r\n/);
    second.send('l OK in\r\n');
    await other.until(/l OK in\r\n/);
    other.send('s SELECT "My Box"\r\n');
    await second.until(/s SELECT "My Box"\r\n/);
    second.send('* OK [UIDVALIDITY 7] x\r\ns OK [READ-WRITE] in\r\n');
    await other.until(/s OK[^\r]*\r\n/);
    other.send('n NOOP\r\n');
    expect(await second.until(/[^}]\r\n/)).toBe('n NOOP\r\n');
    other.socket.destroy();
    server.send(`${asked.split(' ')[0]} NO no\r\n`);
    await goesOn();
  });

  test('a client does not wait for all of them: after a while its command goes on, and the next one continues', async () => {
    await begin(`${CAPABILITIES} MOVE`, [5, 6], false);
    await answered(/ UID SEARCH UID 5:6 UNDELETED\r\n$/, '* SEARCH 5 6', 'TAG OK');
    const fetch5 = await server.until(/ UID FETCH 5 [^\r]*\r\n/);
    timers.advance(REFRESH_MS);
    server.send(`${fetch5.split(' ')[0]} OK\r\n`);
    await goesOn();
    client.send('n NOOP\r\n');
    await answered(/ UID SEARCH UID 6 UNDELETED\r\n$/, '* SEARCH 6', 'TAG OK');
    await answered(/ UID FETCH 6 /, 'TAG OK');
    await goesOn();
    client.send('n NOOP\r\n');
    await goesOn();
  });

  test('nothing is done where no key fits, and it is not fetched again', async () => {
    await begin(CAPABILITIES, [5], false);
    await found();
    await fetched();
    await goesOn();
    client.send('s SELECT "My Box"\r\n');
    await server.until(/s SELECT "My Box"\r\n/);
    server.send('* OK [UIDVALIDITY 7] x\r\ns OK [READ-WRITE] in\r\n');
    await client.until(/s OK[^\r]*\r\n/);
    client.send('n NOOP\r\n');
    await goesOn();
  });

  test.each([
    ['the mailbox may not be changed', CAPABILITIES, 'OK [READ-ONLY] in'],
    ['it is Gmail', `${CAPABILITIES} MOVE X-GM-EXT-1`, 'OK [READ-WRITE] in'],
    ['only all that is marked could be expunged', CAPABILITIES.replace(' UIDPLUS', ''), 'OK in'],
  ])('nothing is done where %s', async (_, capabilities, answer) => {
    await begin(capabilities, [5], true, answer);
    await goesOn();
  });
});

describe('Dovecot, and a connection that breaks at every step', () => {
  let dovecot: Dovecot;
  let relay: Server;
  /** Breaks when a command matches, before it or after it has gone on. */
  let cut: { at: RegExp; gone: boolean } | null = null;
  let broken = false;

  beforeAll(async () => {
    dovecot = await startDovecot({
      users: [{ login: LOGIN, password: 'a test' }],
      further: 'imap_capability = IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE UIDPLUS',
    });
    relay = createServer((near) => {
      const far = connect(dovecot.imapPort, '127.0.0.1');
      const end = (): void => {
        near.destroy();
        far.destroy();
      };
      for (const socket of [near, far]) socket.on('error', end).on('close', end);
      far.on('data', (octets: Buffer) => near.write(octets));
      near.on('data', (octets: Buffer) => {
        const here = cut?.at.test(octets.toString('latin1')) === true;
        broken ||= here;
        if (here && cut?.gone === false) return end();
        far.write(octets);
        // What the server does with it, it does; nobody hears of it.
        if (here) {
          far.removeAllListeners('data');
          far.once('data', end);
        }
      });
    }).listen(0, '127.0.0.1');
    await once(relay, 'listening');
  });
  afterAll(async () => {
    relay?.close();
    await dovecot?.stop();
  });

  test.each(
    [
      /UID SEARCH UID \d+ UNDELETED\r/,
      /BODY\.PEEK\[\]/,
      /UID COPY/,
      /LARGER/,
      /UID STORE/,
      /UID EXPUNGE/,
    ].flatMap((at) => [
      { at, gone: false },
      { at, gone: true },
    ]),
  )(
    '$at, gone on: $gone: the message is there with its flags, at worst twice, and after the next session too',
    async (where) => {
      const direct = await ImapConversation.login(dovecot.imapPort, LOGIN, '"a test"');
      const box = `b${Math.random().toString(36).slice(2, 8)}`;
      await direct.command(`CREATE ${box}`);
      direct.send(`a APPEND ${box} (\\Flagged) {${MAIL.length}+}\r\n`);
      direct.send(MAIL);
      direct.send('\r\n');
      await direct.until(/a OK[^\r\n]*\r\n/);
      const proxy = await proxyFor((relay.address() as AddressInfo).port, [1]);
      const session = async (): Promise<void> => {
        const client = await ImapConversation.login(proxy.port, LOGIN, '"a test"');
        await client.command(`SELECT ${box}`);
        client.send('n NOOP\r\n');
        await client.until(/n OK[^\r]*\r\n/).catch(() => undefined);
        client.socket.destroy();
      };
      const whole = async (): Promise<number> => {
        await direct.command(`SELECT ${box}`);
        const text = await direct.command('UID FETCH 1:* (UID FLAGS BODY.PEEK[])');
        const copies = text.split(MAIL.toString('latin1')).length - 1;
        expect(text.match(/\\Flagged/g)?.length ?? 0).toBe(copies);
        return copies;
      };
      cut = where;
      broken = false;
      await session();
      cut = null;
      expect(broken).toBe(true);
      expect([1, 2]).toContain(await whole());
      await session();
      expect([1, 2]).toContain(await whole());
      await proxy.close();
      direct.socket.destroy();
    },
  );
});

test('COPYUID', () => {
  const read = (text: string) => copiedTo(Buffer.from(`t OK ${text} x\r\n`), 5, 7);
  expect(read('[COPYUID 7 5 9]')).toBe(9);
  for (const other of [
    '[COPYUID 7 5:6 9:10]',
    '[COPYUID 7 5 4]',
    '[COPYUID 6 5 9]',
    '[COPYUID 7 5,6 9]',
    '',
  ]) {
    expect(read(other)).toBeNull();
  }
});
