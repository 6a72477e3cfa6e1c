import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeTimers } from './support/fake-timers.ts';
import { FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { type ImapConversation, literal } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

/** What a client sees while the key of its mail is away, or somebody has to type its PIN. Time passes when the test says so. */

const ENCRYPTED = toyEncrypted(
  ['From: a@example.org', 'Subject: s'],
  'Content-Type: text/plain\r\n\r\nplain words\r\n',
);
const PLAIN = 'Subject: p\r\n\r\nhi\r\n';
const STRUCTURE = '("application" "pkcs7-mime" NIL NIL NIL "base64" 99 NIL NIL NIL NIL)';
const AWAY = 'Key for 1 message not available: The key token is not there. Insert it and try again.';
/** After this long other commands go on. */
const LONG = 1_000;

let timers: FakeTimers;
let upstream: FakeUpstream;
let proxy: TestProxy;
let client: ImapConversation;
let server: ImapConversation;

beforeEach(async () => {
  timers = new FakeTimers();
  upstream = await FakeUpstream.start();
  proxy = await startTestProxy(upstream.port, { timers });
  ({ client, server } = await loggedIn(upstream, proxy.port));
});

afterEach(async () => {
  client.close();
  await proxy.close();
  await upstream.close();
});

/** A FETCH of message 1 whole, up to the upstream's answer. */
async function fetchWhole(tag: string, message: string | Buffer = ENCRYPTED): Promise<void> {
  client.send(`${tag} UID FETCH 1 (UID BODY.PEEK[])\r\n`);
  await server.until(new RegExp(`${tag} UID FETCH[^\\r\\n]*\\r\\n`));
  server.send(`* 1 FETCH (UID 1 BODY[] ${literal(message)})\r\n${tag} OK\r\n`);
}

/** A command that passes, with what the client gets up to its answer. */
async function noop(tag = 'n', news = ''): Promise<string> {
  client.send(`${tag} NOOP\r\n`);
  await server.until(new RegExp(`${tag} NOOP\\r\\n`));
  server.send(`${news}${tag} OK\r\n`);
  return await client.until(new RegExp(`${tag} OK\\r\\n`));
}

async function waitsForPin(): Promise<void> {
  await timers.pass(LONG);
  await proxy.control.waitFor(1);
}

describe('a key that is away', () => {
  beforeEach(() => {
    proxy.control.mode = 'unavailable';
  });

  test('the other messages come; those that need it are counted, with the sentence', async () => {
    client.send('f UID FETCH 1:3 (UID BODY.PEEK[])\r\n');
    await server.until(/f UID FETCH[^\r\n]*\r\n/);
    const plain = `* 2 FETCH (UID 2 BODY[] ${literal(PLAIN)})\r\n`;
    const [one, three] = [1, 3].map((n) => `* ${n} FETCH (UID ${n} BODY[] ${literal(ENCRYPTED)})\r\n`);
    server.send(`${one}${plain}${three}f OK\r\n`);
    expect(await client.until(/f NO [^\r\n]*\r\n/)).toBe(
      `${plain}f NO [UNAVAILABLE] ${AWAY.replace('1 message', '2 messages')}\r\n`,
    );
  });

  test.each([
    ['UID FETCH', 'one after another'],
    ['UID FETCH', 'data first, as Dovecot does'],
    ['FETCH', 'data first, as Dovecot does'],
  ])('of commands sent together (%s, %s) each is told of its own message', async (command, order) => {
    const ask = (tag: string, set: string): string => `${tag} ${command} ${set} (UID BODY.PEEK[])\r\n`;
    client.send(`${ask('a', '1')}${ask('b', '2:2')}${ask('c', '7,3:*')}`);
    await server.until(/c (?:UID )?FETCH[^\r\n]*\r\n/);
    const [one = '', two = '', three = ''] = [ENCRYPTED, PLAIN, ENCRYPTED].map(
      (message, at) => `* ${at + 1} FETCH (UID ${at + 1} BODY[] ${literal(message)})\r\n`,
    );
    const [a, b, c] = ['a OK\r\n', 'b OK\r\n', 'c OK\r\n'];
    server.send(
      order.startsWith('data') ? [one, two, three, a, b, c].join('') : [one, a, two, b, three, c].join(''),
    );
    const heard = await client.until(/c (?:NO|OK) ?[^\r\n]*\r\n/);
    expect(heard.replace(two, '')).toBe(
      `a NO [UNAVAILABLE] ${AWAY}\r\nb OK\r\nc NO [UNAVAILABLE] ${AWAY}\r\n`,
    );
    expect(heard).toContain(two);
  });

  test('asked for again: answered after 2, 4 and 8 seconds, then the session ends', async () => {
    await fetchWhole('a1');
    expect(await client.until(/a1 [^\r\n]*\r\n/)).toBe(`a1 NO [UNAVAILABLE] ${AWAY}\r\n`);
    for (const [repeat, seconds] of [2, 4, 8].entries()) {
      await fetchWhole(`b${repeat}`);
      await timers.asked(seconds * 1_000);
      expect(await noop()).toBe('n OK\r\n');
      await timers.pass(seconds * 1_000);
      expect(await client.until(/b\d [^\r\n]*\r\n/)).toBe(`b${repeat} NO [UNAVAILABLE] ${AWAY}\r\n`);
    }
    await fetchWhole('c');
    expect(await client.rest()).toMatch(/^\* BYE \[UNAVAILABLE\] .*Insert it and try again\.\r\n$/);
    expect(server.ended || (await server.rest()) === '').toBe(true);
  });

  test('back again, it is used at once, and what failed before is forgotten', async () => {
    await fetchWhole('a1');
    await client.until(/a1 NO [^\r\n]*\r\n/);
    await fetchWhole('a2');
    await timers.pass(2_000);
    await client.until(/a2 NO [^\r\n]*\r\n/);
    proxy.control.mode = 'works';
    await fetchWhole('a3');
    expect(await client.until(/a3 [^\r\n]*\r\n/)).toMatch(/plain words[\s\S]*a3 OK\r\n$/);
    // But for the view, which is kept for a while.
    expect(timers.pending.filter((ms) => ms < 60_000)).toEqual([]);
  });

  test('the shell, sizes and flags that a listing promises are the same before, while and after', async () => {
    const contentType = /Content-Type: [^\r\n]*\r\n/.exec(ENCRYPTED.toString('latin1'))?.[0] ?? '';
    const list = async (tag: string): Promise<string> => {
      client.send(`${tag} UID FETCH 1 (FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (Content-Type)])\r\n`);
      await server.until(new RegExp(`${tag} UID FETCH[^\\r\\n]*\\r\\n`));
      const fields = `BODY[HEADER.FIELDS (Content-Type)] ${literal(`${contentType}\r\n`)}`;
      server.send(`* 1 FETCH (UID 1 FLAGS () RFC822.SIZE ${ENCRYPTED.length} ${fields})\r\n${tag} OK\r\n`);
      return (await client.until(new RegExp(`${tag} OK\\r\\n`))).replace(tag, '');
    };
    const before = await list('l1');
    expect(before).toContain('multipart/mixed');
    await fetchWhole('a1');
    await client.until(/a1 NO [^\r\n]*\r\n/);
    expect(await list('l2')).toBe(before);
    proxy.control.mode = 'works';
    await fetchWhole('a2');
    const view = await client.until(/a2 OK\r\n/);
    expect(view).toContain(`BODY[] {${ENCRYPTED.length}}\r\n`);
    expect(await list('l3')).toBe(before);
  });

  test.each(['SELECT other', 'LOGOUT', 'IDLE'])('%s does not wait for a delayed answer', async (command) => {
    await fetchWhole('a1');
    await client.until(/a1 NO [^\r\n]*\r\n/);
    await fetchWhole('a2');
    await timers.asked(2_000);
    client.send(`s ${command}\r\n`);
    expect(await server.until(/s [A-Z ]*[^\r\n]*\r\n/)).toBe(`s ${command}\r\n`);
    expect(await client.until(/a2 NO [^\r\n]*\r\n/)).toContain(AWAY);
  });

  test('a delay is given up before message numbers change', async () => {
    await fetchWhole('a1');
    await client.until(/a1 NO [^\r\n]*\r\n/);
    await fetchWhole('a2');
    await timers.asked(2_000);
    expect(await noop('n', '* 1 EXPUNGE\r\n')).toBe(`a2 NO [UNAVAILABLE] ${AWAY}\r\n* 1 EXPUNGE\r\nn OK\r\n`);
  });

  test('a structure asked for in a loop is delayed as well, and ends the session', async () => {
    const ask = async (tag: string): Promise<void> => {
      client.send(`${tag} UID FETCH 1 (BODYSTRUCTURE)\r\n`);
      await server.until(new RegExp(`${tag} UID FETCH[^\\r\\n]*\\r\\n`));
      server.send(`* 1 FETCH (UID 1 BODYSTRUCTURE ${STRUCTURE})\r\n${tag} OK\r\n`);
      const injected = await server.until(/S[0-9a-z]+ UID FETCH 1 [^\r\n]*\r\n/);
      server.send(`* 1 FETCH (UID 1 BODY[] ${literal(ENCRYPTED)})\r\n${injected.split(' ')[0]} OK\r\n`);
    };
    await ask('a1');
    expect(await client.until(/a1 [^\r\n]*\r\n/)).toBe(`a1 NO [UNAVAILABLE] ${AWAY}\r\n`);
    for (const seconds of [2, 4, 8]) {
      await ask(`b${seconds}`);
      await timers.asked(seconds * 1_000);
      expect(await noop()).toBe('n OK\r\n');
      await timers.pass(seconds * 1_000);
      await client.until(/b\d NO [^\r\n]*\r\n/);
    }
    await ask('c');
    expect(await client.rest()).toMatch(/^\* BYE \[UNAVAILABLE\] /);
  });

  test('what a client sends behind the command that ends its session is not done', async () => {
    for (const [index, seconds] of [0, 2, 4, 8].entries()) {
      await fetchWhole(`a${index}`);
      if (seconds > 0) await timers.pass(seconds * 1_000);
      await client.until(/a\d NO [^\r\n]*\r\n/);
    }
    client.send('c UID FETCH 1 (UID BODY.PEEK[])\r\n');
    await server.until(/c UID FETCH[^\r\n]*\r\n/);
    server.send(`* 1 FETCH (UID 1 BODY[] ${literal(ENCRYPTED)})\r\nc OK\r\n`);
    await client.until(/\* BYE [^\r\n]*\r\n/);
    client.send('x UID STORE 1 +FLAGS (\\Deleted)\r\nx2 EXPUNGE\r\n');
    expect(await server.rest()).toBe('');
  });
});

test('where it is configured the session ends in the place of NO, with the reason, after the other messages', async () => {
  await proxy.close();
  proxy = await startTestProxy(upstream.port, { timers, keyAway: 'disconnect' });
  proxy.control.mode = 'unavailable';
  ({ client, server } = await loggedIn(upstream, proxy.port));
  client.send('a UID FETCH 1:2 (BODY.PEEK[])\r\n');
  await server.until(/a UID FETCH[^\r\n]*\r\n/);
  const plain = `* 2 FETCH (UID 2 BODY[] ${literal(PLAIN)})\r\n`;
  server.send(`* 1 FETCH (UID 1 BODY[] ${literal(ENCRYPTED)})\r\n${plain}a OK\r\n`);
  expect(await client.rest()).toBe(
    `${plain}* BYE [UNAVAILABLE] The key token is not there. Insert it and try again.\r\n`,
  );
});

describe('a PIN that somebody types while a message is fetched whole', () => {
  beforeEach(() => {
    proxy.control.mode = 'waits';
  });

  test('other commands go on; the mail comes when it is typed, then the answer', async () => {
    await fetchWhole('a');
    await waitsForPin();
    expect(await noop()).toBe('n OK\r\n');
    client.send('p UID FETCH 2 (UID BODY.PEEK[])\r\n');
    await server.until(/p UID FETCH[^\r\n]*\r\n/);
    const plain = `* 2 FETCH (UID 2 BODY[] ${literal(PLAIN)})\r\np OK\r\n`;
    server.send(plain);
    expect(await client.until(/p OK\r\n/)).toBe(plain);
    proxy.control.typed();
    expect(await client.until(/a OK\r\n/)).toMatch(
      /^\* 1 FETCH \(UID 1 BODY\[\] \{\d+\}\r\n[\s\S]*plain words/,
    );
  });

  test('RFC 9585: every ten seconds the client hears that it goes on, and no longer than it does', async () => {
    await fetchWhole('a');
    await waitsForPin();
    for (const _ of [1, 2]) {
      await timers.pass(10_000);
      expect(await client.until(/\r\n/)).toBe('* OK [INPROGRESS ("a" NIL NIL)] Opening a message\r\n');
    }
    proxy.control.typed();
    await client.until(/a OK\r\n/);
    expect(timers.pending).not.toContain(10_000);
  });

  test('a tag stays in use while its answer is waited for', async () => {
    await fetchWhole('a');
    await waitsForPin();
    client.send('a NOOP\r\n');
    expect(await client.until(/a [^\r\n]*\r\n/)).toMatch(/^a BAD /);
    proxy.control.typed();
    await client.until(/a OK\r\n/);
  });

  test('its answer does not come into the middle of another message', async () => {
    await fetchWhole('a');
    await waitsForPin();
    client.send('p UID FETCH 2 (UID BODY.PEEK[])\r\n');
    await server.until(/p UID FETCH[^\r\n]*\r\n/);
    const big = `Subject: p\r\n\r\n${'hi\r\n'.repeat(50_000)}`;
    const [head, tail] = [big.slice(0, 100_000), big.slice(100_000)];
    server.send(`* 2 FETCH (UID 2 BODY[] {${big.length}}\r\n${head}`);
    await client.until(/(?:hi\r\n){20000}/);
    proxy.control.typed();
    client.send('x NOSUCH\r\n');
    server.send(`${tail})\r\np OK\r\n`);
    const rest = await client.until(/a OK\r\n/);
    expect(rest.startsWith('hi\r\n'.repeat(2))).toBe(true);
    expect(rest).toMatch(/^(?:[hi]*\r?\n?)*\)\r\n/);
    const [first = ''] = rest.split(')\r\n');
    expect(first).not.toMatch(/FETCH|BAD|plain words/);
    expect(rest).toContain('plain words');
  });

  test('flags are told at once, so that those of a later STORE stay the last', async () => {
    client.send('a UID FETCH 1 (FLAGS BODY[])\r\n');
    await server.until(/a UID FETCH[^\r\n]*\r\n/);
    server.send(`* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (7) BODY[] ${literal(ENCRYPTED)})\r\na OK\r\n`);
    await waitsForPin();
    expect(await client.until(/MODSEQ[^\r\n]*\r\n/)).toBe('* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (7))\r\n');
    expect(await noop('n', '* 1 FETCH (UID 1 FLAGS (\\Seen \\Flagged))\r\n')).toContain('\\Flagged');
    proxy.control.typed();
    const late = await client.until(/a OK\r\n/);
    expect(late).toContain('plain words');
    expect(late).not.toContain('FLAGS');
  });

  test.each(['* 1 EXPUNGE', '* 7 EXPUNGE', '* VANISHED 5'])(
    'before %s it is given up: the number in its answer must mean its message',
    async (news) => {
      await fetchWhole('a');
      await waitsForPin();
      const heard = await noop('n', `${news}\r\n`);
      expect(heard).toMatch(/^a NO \[UNAVAILABLE\] Key for 1 message/);
      expect(heard).toMatch(new RegExp(`\r\n\\${news}\r\nn OK\r\n$`));
      proxy.control.typed();
      await fetchWhole('b');
      expect(await client.until(/b OK\r\n/)).toContain('plain words');
    },
  );

  test.each(['SELECT other', 'CLOSE', 'LOGOUT'])('%s gives it up', async (command) => {
    await fetchWhole('a');
    await waitsForPin();
    client.send(`s ${command}\r\n`);
    await server.until(/s [^\r\n]*\r\n/);
    expect(await client.until(/a NO [^\r\n]*\r\n/)).toMatch(/^a NO \[UNAVAILABLE\] /);
    await proxy.control.waitFor(0);
  });

  test('SELECT gives up what has only begun after a second', async () => {
    await fetchWhole('a');
    await timers.asked(LONG);
    client.send('s SELECT other\r\n');
    expect(await sentMeanwhile()).toBe('');
    await timers.pass(LONG);
    await client.until(/a NO [^\r\n]*\r\n/);
    expect(await server.until(/s SELECT[^\r\n]*\r\n/)).toBe('s SELECT other\r\n');
  });

  test('IDLE waits for it: whoever types the PIN wants the mail', async () => {
    await fetchWhole('a');
    await waitsForPin();
    client.send('i IDLE\r\n');
    expect(await sentMeanwhile()).toBe('');
    proxy.control.typed();
    expect(await client.until(/a OK\r\n/)).toContain('plain words');
    expect(await server.until(/i IDLE\r\n/)).toBe('i IDLE\r\n');
  });

  test('a client that goes away ends the wait, and its upstream connection', async () => {
    await fetchWhole('a');
    await waitsForPin();
    client.close();
    await server.rest();
    await proxy.control.waitFor(0);
  });

  test('a mail server that goes away ends it, too', async () => {
    await fetchWhole('a');
    await waitsForPin();
    server.close();
    expect(await client.rest()).toMatch(/\* BYE /);
    await proxy.control.waitFor(0);
  });

  test('a mail server that goes away behind the next encrypted message is told of at once', async () => {
    client.send('a UID FETCH 1:2 (UID BODY.PEEK[])\r\n');
    await server.until(/a UID FETCH[^\r\n]*\r\n/);
    const both = [1, 2].map((n) => `* ${n} FETCH (UID ${n} BODY[] ${literal(ENCRYPTED)})\r\n`);
    server.send(`${both.join('')}a OK\r\n`);
    await waitsForPin();
    server.close();
    // The other one gets the time of a key that nobody has to be asked for.
    await expect.poll(() => proxy.control.opened).toBe(2);
    await timers.pass(LONG);
    expect(await client.rest()).toMatch(/^\* BYE [^\r\n]*\r\n$/);
    await proxy.control.waitFor(0);
  });

  test('the next encrypted message waits for it; both come once it is typed', async () => {
    client.send('a UID FETCH 1:2 (UID BODY.PEEK[])\r\n');
    await server.until(/a UID FETCH[^\r\n]*\r\n/);
    const both = [1, 2].map((n) => `* ${n} FETCH (UID ${n} BODY[] ${literal(ENCRYPTED)})\r\n`);
    server.send(`${both.join('')}a OK\r\n`);
    await waitsForPin();
    proxy.control.typed();
    const answer = await client.until(/a OK\r\n/);
    expect(answer.match(/plain words/g)).toHaveLength(2);
  });

  test('another session, of another login too, is not held up', async () => {
    await fetchWhole('a');
    await waitsForPin();
    proxy.control.mode = 'works';
    const other = await loggedIn(upstream, proxy.port);
    other.client.send('o UID FETCH 1 (UID BODY.PEEK[])\r\n');
    await other.server.until(/o UID FETCH[^\r\n]*\r\n/);
    other.server.send(`* 1 FETCH (UID 1 BODY[] ${literal(ENCRYPTED)})\r\no OK\r\n`);
    expect(await other.client.until(/o OK\r\n/)).toContain('plain words');
    other.client.close();
  });
});

describe('a PIN that somebody types while a structure is fetched', () => {
  beforeEach(() => {
    proxy.control.mode = 'waits';
  });

  async function fetchStructures(command: string, numbers: readonly number[]): Promise<void> {
    client.send(`a ${command} (UID FLAGS BODYSTRUCTURE)\r\n`);
    await server.until(/a (?:UID )?FETCH[^\r\n]*BODYSTRUCTURE\)\r\n/);
    const responses = numbers.map(
      (n) => `* ${n} FETCH (UID ${n + 10} FLAGS (\\Seen) BODYSTRUCTURE ${STRUCTURE})\r\n`,
    );
    server.send(`${responses.join('')}a OK\r\n`);
  }

  /** The gateway's own FETCH of one message. */
  async function serveInjected(n: number): Promise<string> {
    const command = await server.until(/S[0-9a-z]+ (?:UID )?FETCH [^\r\n]*\r\n/);
    const [tag] = command.split(' ');
    server.send(`* ${n} FETCH (UID ${n + 10} BODY[] ${literal(ENCRYPTED)})\r\n${tag} OK\r\n`);
    return command;
  }

  test('other commands go on, then it comes back for the next message', async () => {
    await fetchStructures('UID FETCH 11:12', [1, 2]);
    await serveInjected(1);
    await waitsForPin();
    expect(await client.until(/12 FLAGS[^\r\n]*\r\n/)).toBe(
      '* 1 FETCH (UID 11 FLAGS (\\Seen))\r\n* 2 FETCH (UID 12 FLAGS (\\Seen))\r\n',
    );
    await timers.pass(10_000);
    expect(await client.until(/INPROGRESS[^\r\n]*\r\n/)).toContain('("a" 0 2)');
    expect(await noop()).toBe('n OK\r\n');
    client.send('p UID FETCH 13 (BODYSTRUCTURE)\r\n');
    const plain =
      '* 3 FETCH (UID 13 BODYSTRUCTURE ("text" "plain" NIL NIL NIL "7bit" 4 1 NIL NIL NIL NIL))\r\n';
    await server.until(/p UID FETCH[^\r\n]*\r\n/);
    server.send(`${plain}p OK\r\n`);
    expect(await client.until(/p OK\r\n/)).toBe(`${plain}p OK\r\n`);
    proxy.control.typed();
    expect(await serveInjected(2)).toMatch(/^S\w+ UID FETCH 12 /);
    const answer = await client.until(/a OK\r\n/);
    expect(answer.match(/BODYSTRUCTURE \(\("text" "plain"/g)).toHaveLength(2);
    expect(answer).not.toContain('FLAGS');
  });

  test('while it comes back to fetch, no command of the client is on its way', async () => {
    await fetchStructures('UID FETCH 11:12', [1, 2]);
    await serveInjected(1);
    await waitsForPin();
    client.send('n NOOP\r\n');
    await server.until(/n NOOP\r\n/);
    proxy.control.typed();
    await client.until(/UID 11 BODYSTRUCTURE [^\r\n]*\r\n/);
    client.send('n2 NOOP\r\n');
    expect(await sentMeanwhile()).toBe('');
    server.send('n OK\r\n');
    await serveInjected(2);
    expect(await client.until(/a OK\r\n/)).toContain('n OK');
    expect(await server.until(/n2 NOOP\r\n/)).toBe('n2 NOOP\r\n');
  });

  test.each(['FETCH 1:2', 'UID FETCH 11:12'])(
    '%s is given up before message numbers change, and fetches no more',
    async (command) => {
      await fetchStructures(command, [1, 2]);
      await serveInjected(1);
      await waitsForPin();
      await client.until(/12 FLAGS[^\r\n]*\r\n/);
      const heard = await noop('n', '* 1 EXPUNGE\r\n');
      expect(heard).toMatch(/^a NO \[UNAVAILABLE\] Key for 2 messages[^\r\n]*\r\n\* 1 EXPUNGE\r\nn OK\r\n$/);
      expect(await noop('m')).toBe('m OK\r\n');
    },
  );

  test.each(['SELECT other', 'LOGOUT'])('%s gives it up', async (command) => {
    await fetchStructures('FETCH 1:2', [1, 2]);
    await serveInjected(1);
    await waitsForPin();
    client.send(`s ${command}\r\n`);
    expect(await server.until(/s [^\r\n]*\r\n/)).toBe(`s ${command}\r\n`);
    expect(await client.until(/a NO [^\r\n]*\r\n/)).toContain('[UNAVAILABLE] Key for 2 messages');
  });

  test('IDLE waits until it has come back to the last message', async () => {
    await fetchStructures('UID FETCH 11:12', [1, 2]);
    await serveInjected(1);
    await waitsForPin();
    client.send('i IDLE\r\n');
    proxy.control.typed();
    await serveInjected(2);
    await client.until(/a OK\r\n/);
    expect(await server.until(/i IDLE\r\n/)).toBe('i IDLE\r\n');
  });

  test('a client that goes away ends the wait', async () => {
    await fetchStructures('UID FETCH 11:12', [1, 2]);
    await serveInjected(1);
    await waitsForPin();
    const closed = once(client.socket, 'close');
    client.close();
    await closed;
    await server.rest();
    await proxy.control.waitFor(0);
  });
});

/** What the upstream has been sent once a round trip through the proxy of another session is over. */
async function sentMeanwhile(): Promise<string> {
  const other = await loggedIn(upstream, proxy.port);
  other.client.send('z NOOP\r\n');
  await other.server.until(/z NOOP\r\n/);
  other.client.close();
  return server.waiting;
}
