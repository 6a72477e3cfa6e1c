import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { AtRestMarks } from '../../src/mail-view/at-rest-marker.ts';
import { FakeTimers } from './support/fake-timers.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import type { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyAtRest, toyMailboxes, toySealed } from './support/toy-at-rest.ts';

/** Ways past the encryption of what clients store, and past what is known of mail that was stored so. */

const LOGIN = 'bob@example.org';
const MAIL = 'From: bob@example.org\r\nSubject: mine\r\n\r\nmy words\r\n';
const RULES = [
  { mailbox: ['Plain'], specialUse: null, login: null, store: 'verbatim', subject: 'keep' },
  {
    mailbox: ['Safe*', 'INBOX.Copies'],
    specialUse: ['\\Sent'],
    login: null,
    store: 'at-rest',
    subject: 'keep',
  },
] as const;

let upstream: FakeUpstream;
let proxy: TestProxy;
let client: ImapConversation;
let server: ImapConversation;
let mailboxes: ReturnType<typeof toyMailboxes>;
let timers: FakeTimers;

beforeEach(async () => {
  upstream = await FakeUpstream.start();
  mailboxes = toyMailboxes();
  timers = new FakeTimers();
  proxy = await startTestProxy(upstream.port, {
    timers,
    storing: { rules: RULES, story: toyAtRest(), mailboxes },
  });
  const capabilities = `${CAPABILITIES} SPECIAL-USE LIST-EXTENDED`;
  ({ client, server } = await loggedIn(upstream, proxy.port, capabilities));
});
afterEach(async () => {
  client.socket.destroy();
  await upstream.close();
  await proxy.close();
});

/** The mail server's side of an APPEND that is encrypted. */
async function taken(tag: string): Promise<string> {
  const line = await server.until(new RegExp(`^${tag} [^\\r\\n]*\\{\\d+\\}\\r\\n`));
  const size = Number(/\{(\d+)\}\r\n$/.exec(line)?.[1]);
  server.send('+ go\r\n');
  return server.until(new RegExp(`^[^]{${size}}\\r\\n`));
}

/** A command of the gateway's own, and what the mail server says to it. */
async function asked(command: RegExp, ...answers: string[]): Promise<void> {
  const said = await server.until(/^(?:[^\r]*\{\d+\+\}\r\n[^\r]*|[^\r]*[^}\r])\r\n/);
  expect(said).toMatch(command);
  const tag = said.split(' ')[0] ?? '';
  server.send(answers.map((answer) => `${answer.replace('TAG', tag)}\r\n`).join(''));
}

describe('nothing is stored in the clear', () => {
  test.each([
    ['', ''],
    ['UTF8 (~', ')'],
  ])('behind an empty message: %j', async (begin, end) => {
    const empty = begin === '' ? '{0+}\r\n' : 'UTF8 (~{0+}\r\n)';
    client.send(`a APPEND Safe ${empty} ${begin}{${MAIL.length}+}\r\n${MAIL}${end}\r\nb NOOP\r\n`);
    await client.until(/^a NO [^\r]*\r\n/);
    expect(await server.until(/\r\n/)).toBe('b NOOP\r\n');
  });

  test.each(['inbox.Copies', 'INBOX.copies', 'SAFE', '{4+}\r\nsafe', 'S&AEE-fe'])(
    'in a mailbox whose name is written %j',
    async (name) => {
      client.send(`a APPEND ${name} {${MAIL.length}+}\r\n${MAIL}\r\n`);
      expect(await taken('a')).not.toContain('my words');
    },
  );

  test('in a mailbox that the mail server does not list: it may be one that it has by another name', async () => {
    for (const answers of [[], ['* LIST (\\NonExistent \\HasChildren) "." Box']]) {
      client.send(`a APPEND Box {${MAIL.length}}\r\n`);
      await asked(/ LIST "" /, ...answers, 'TAG OK');
      expect(await client.until(/a [^\r]*\r\n/)).toMatch(/^a NO \[TRYCREATE\] /);
    }
  });

  describe('in a mailbox that has its special use under another name', () => {
    const MORE = `${CAPABILITIES} SPECIAL-USE LIST-EXTENDED LIST-STATUS`;
    test.each([
      ['(UIDVALIDITY)', '', 'UIDVALIDITY 77', 'UIDVALIDITY 77', 'UIDVALIDITY 78'],
      [
        '(UIDVALIDITY MAILBOXID)',
        ' OBJECTID',
        'UIDVALIDITY 77 MAILBOXID (F1)',
        'MAILBOXID (F1) UIDVALIDITY 1',
        'UIDVALIDITY 77 MAILBOXID (F2)',
      ],
    ])('%s', async (options, capability, own, same, other) => {
      client.socket.destroy();
      ({ client, server } = await loggedIn(upstream, proxy.port, MORE + capability));
      for (const [tag, id, encrypted] of [
        ['a', other, false],
        ['b', same, true],
      ] as const) {
        client.send(`${tag} APPEND OLD.Sent {${MAIL.length}+}\r\n${MAIL}\r\n`);
        const list = ['* LIST () "." OLD.Sent', `* STATUS OLD.Sent (${own})`];
        await asked(
          new RegExp(` RETURN \\(SPECIAL-USE STATUS ${options.replace(/[()]/g, '\\$&')}\\)`),
          ...list,
          'TAG OK',
        );
        const special = [
          '* LIST (\\Drafts) "." Drafts',
          '* STATUS Drafts (UIDVALIDITY 5)',
          '* LIST (\\Sent) "." Sent',
          `* STATUS Sent (${id})`,
        ];
        await asked(/ LIST \(SPECIAL-USE\) "" \* RETURN /, ...special, 'TAG OK');
        if (encrypted) expect(await taken(tag)).not.toContain('my words');
        else await server.until(/my words\r\n\r\n/);
        server.send(`${tag} OK\r\n`);
        expect(await client.until(/OK\r\n/)).toBe(`${tag} OK\r\n`);
      }
    });

    test('and is not listed by the one that is used', async () => {
      client.socket.destroy();
      ({ client, server } = await loggedIn(upstream, proxy.port, MORE));
      for (const [tag, id, stored] of [
        ['a', 7, 'encrypted'],
        ['b', 8, 'as it is'],
        ['c', 9, 'not'],
        ['d', null, 'not'],
      ] as const) {
        client.send(`${tag} APPEND OLD.${tag} {${MAIL.length}+}\r\n${MAIL}\r\n`);
        await asked(/ LIST "" /, 'TAG OK');
        await asked(
          / STATUS /,
          ...(id === null ? ['TAG NO'] : [`* STATUS OLD.${tag} (UIDVALIDITY ${id})`, 'TAG OK']),
        );
        const all = [
          '* LIST (\\Sent) "." Sent',
          '* STATUS Sent (UIDVALIDITY 7)',
          '* LIST () "." Other',
          '* STATUS Other (UIDVALIDITY 8)',
        ];
        if (id !== null) await asked(/ LIST "" \* RETURN /, ...all, 'TAG OK');
        if (stored === 'not') expect(await client.until(/\r\n/)).toMatch(/ NO \[TRYCREATE\] /);
        else {
          if (stored === 'encrypted') expect(await taken(tag)).not.toContain('my words');
          else {
            await asked(/ LIST \(SPECIAL-USE\) /, ...all.slice(0, 2), 'TAG OK');
            await server.until(/my words\r\n\r\n/);
          }
          server.send(`${tag} OK\r\n`);
          await client.until(/OK\r\n/);
        }
      }
    });

    test('and the mail server does not say which ones have any', async () => {
      client.socket.destroy();
      ({ client, server } = await loggedIn(upstream, proxy.port, MORE));
      client.send(`a APPEND OLD.Sent {${MAIL.length}+}\r\n${MAIL}\r\n`);
      await asked(/ LIST "" /, '* LIST () "." OLD.Sent', '* STATUS OLD.Sent (UIDVALIDITY 7)', 'TAG OK');
      await asked(/ LIST \(SPECIAL-USE\) /, 'TAG NO not now');
      expect(await client.until(/a [^\r]*\r\n/)).toMatch(/^a NO \[CANNOT\] /);
    });
  });

  test('in a mailbox that has become another one within the session', async () => {
    for (const [tag, use] of [
      ['a', '\\Trash'],
      ['b', '\\Sent'],
    ]) {
      client.send(`${tag} APPEND Box {${MAIL.length}+}\r\n${MAIL}\r\n`);
      await asked(/ LIST "" /, `* LIST (${use}) "." Box`, 'TAG OK');
      if (tag === 'a') await server.until(/my words\r\n\r\n/);
      else expect(await taken('b')).not.toContain('my words');
      server.send(`${tag} OK\r\n`);
      await client.until(new RegExp(`${tag} OK`));
    }
  });
});

test('a client that says everything but the end of its command is not waited for', async () => {
  client.send(`a APPEND Safe {${MAIL.length}+}\r\n${MAIL}`);
  const rest = client.rest();
  let ended = false;
  void rest.then(() => {
    ended = true;
  });
  while (!ended) await Promise.race([rest, timers.pass(limits.atRest.silenceMs)]);
  expect(await rest).toMatch(/^\* BYE /);
});

test('a header of many short lines is stored like any other; one that is too large is refused, and the session goes on', async () => {
  const mail = `${'A:\r\n'.repeat(3_000)}\r\nmy words\r\n`;
  client.send(`a APPEND Safe {${mail.length}+}\r\n${mail}\r\n`);
  expect(await taken('a')).not.toContain('my words');
  server.send('a OK done\r\n');
  await client.until(/^a OK done\r\n/);
  const larger = 'A:\r\n'.repeat(limits.atRest.headerOctets / 4) + mail;
  client.send(`b APPEND Safe {${larger.length}+}\r\n${larger}\r\nc NOOP\r\n`);
  await client.until(/^b NO \[LIMIT\][^\r]*\r\n/);
  expect(await server.until(/\r\n/)).toBe('c NOOP\r\n');
});

test('the log says that it is stored when it is', async () => {
  const said = () => proxy.events.filter(({ event }) => event === 'mail.stored-encrypted').length;
  for (const [tag, answer, times] of [
    ['a', 'NO [OVERQUOTA] full', 0],
    ['b', 'OK done', 1],
  ] as const) {
    client.send(`${tag} APPEND Safe {${MAIL.length}+}\r\n${MAIL}\r\n`);
    await taken(tag);
    expect(said()).toBe(0);
    server.send(`${tag} ${answer}\r\n`);
    await client.until(new RegExp(`${tag} ${answer.slice(0, 2)}[^\r]*\r\n`));
    expect(said()).toBe(times);
  }
});

describe('mail that was stored encrypted is known as such', () => {
  const marks = new AtRestMarks(Buffer.alloc(32, 7), names(), LOGIN);
  const octets = Buffer.from(MAIL);
  const mark = {
    length: octets.length,
    header: Buffer.from('From: bob@example.org\r\nSubject: mine\r\n\r\n'),
    digest: marks.digest().update(octets).digest(),
  };
  const outer = Buffer.from(marks.write(mark));
  const stored = toySealed(outer, octets);
  const fields = Buffer.from(
    `${outer}Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n`,
  );

  function names() {
    return { installationId: '7f3a9c2e' } as ConstructorParameters<typeof AtRestMarks>[1];
  }

  async function select(name: string): Promise<void> {
    client.send(`s SELECT ${name}\r\n`);
    await server.until(/s SELECT [^\r]*\r\n/);
    server.send('* 1 EXISTS\r\n* OK [UIDVALIDITY 3] x\r\n* OK [UIDNEXT 10] x\r\ns OK [READ-WRITE] in\r\n');
    await client.until(/s OK[^\r]*\r\n/);
  }

  const markers = async (answer = 'TAG OK') => {
    await asked(
      / UID SEARCH UID \d+:\* HEADER X-Sealgate-7f3a9c2e-At-Rest ""\r\n$/,
      ...(answer === 'TAG OK' ? ['* SEARCH 9'] : []),
      answer,
    );
    if (answer !== 'TAG OK') return;
    await asked(
      / UID FETCH 9 \(UID BODY\.PEEK\[HEADER\.FIELDS/,
      `* 1 FETCH (UID 9 BODY[HEADER.FIELDS (X CONTENT-TYPE)] {${fields.length}}\r\n${fields})`,
      'TAG OK',
    );
  };

  async function size(tag: string): Promise<string> {
    await server.until(new RegExp(`^${tag} UID FETCH [^\r]*\r\n`));
    server.send(`* 1 FETCH (UID 9 RFC822.SIZE ${stored.length})\r\n${tag} OK\r\n`);
    return client.until(new RegExp(`${tag} OK\r\n`));
  }

  test('also when the mail server did not answer the first time', async () => {
    await select('Safe');
    client.send('a UID FETCH 9 (RFC822.SIZE)\r\n');
    await markers('TAG NO [UNAVAILABLE] not now');
    await size('a');
    client.send('b UID FETCH 9 (RFC822.SIZE)\r\n');
    await markers();
    expect(await size('b')).toContain(`RFC822.SIZE ${octets.length})`);
  });

  test('also when there is no rule any more: its octets and size stay', async () => {
    await mailboxes.add(LOGIN, 'Safe');
    client.socket.destroy();
    await proxy.close();
    proxy = await startTestProxy(upstream.port, {
      storing: { rules: [], story: toyAtRest(), mailboxes },
    });
    ({ client, server } = await loggedIn(upstream, proxy.port));
    await select('Safe');
    client.send('a UID FETCH 9 (RFC822.SIZE)\r\n');
    await markers();
    expect(await size('a')).toContain(`RFC822.SIZE ${octets.length})`);
    client.send(`b APPEND Safe {3+}\r\nabc {3+}\r\ndef\r\n`);
    expect(await server.until(/def\r\n/)).toBe('b APPEND Safe {3+}\r\nabc {3+}\r\ndef\r\n');
  });

  test('also when another session has put it there meanwhile', async () => {
    await select('Other');
    client.send('a UID FETCH 9 (RFC822.SIZE)\r\n');
    await asked(/ LIST "" /, '* LIST () "." Other', 'TAG OK');
    await size('a');
    await mailboxes.add(LOGIN, 'Other');
    server.send('* 2 EXISTS\r\n');
    await client.until(/\* 2 EXISTS\r\n/);
    client.send('b UID FETCH 9 (RFC822.SIZE)\r\n');
    await markers();
    expect(await size('b')).toContain(`RFC822.SIZE ${octets.length})`);
  });

  describe('a client that names message numbers', () => {
    test.each(['MOVE 1 Safe', 'FETCH 1 (BODY.PEEK[TEXT])'])(
      '%s: nothing is asked before it in which a message may go, or it would be about another one',
      async (command) => {
        await select('Other');
        client.send(`a ${command}\r\n`);
        await asked(
          /^\S+ SEARCH UID 1:\* HEADER X-Sealgate-7f3a9c2e-At-Rest ""\r\n$/,
          '* SEARCH 1',
          'TAG OK',
        );
        await asked(
          /^\S+ FETCH 1 \(UID BODY\.PEEK\[HEADER\.FIELDS/,
          `* 1 FETCH (UID 9 BODY[HEADER.FIELDS (X CONTENT-TYPE)] {${fields.length}}\r\n${fields})`,
          'TAG OK',
        );
        expect(await server.until(/\r\n/)).toMatch(/FETCH|MOVE 1 Safe/);
      },
    );

    test('REPLACE, while a message goes: nothing is replaced', async () => {
      client.socket.destroy();
      ({ client, server } = await loggedIn(
        upstream,
        proxy.port,
        `${CAPABILITIES} SPECIAL-USE LIST-EXTENDED REPLACE`,
      ));
      client.send('b CAPABILITY\r\n');
      await server.until(/b CAPABILITY\r\n/);
      server.send(`* CAPABILITY ${CAPABILITIES} SPECIAL-USE LIST-EXTENDED REPLACE\r\nb OK\r\n`);
      await client.until(/b OK\r\n/);
      await select('Safe');
      const replace = `REPLACE 4 Sent {${MAIL.length}+}\r\n${MAIL}\r\n`;
      client.send(`r ${replace}`);
      await asked(/ LIST /, '* 2 EXPUNGE', '* LIST (\\Sent) "." Sent', 'TAG OK');
      expect(await client.until(/r NO[^\r]*\r\n/)).toMatch(/^\* 2 EXPUNGE\r\nr NO \[UNAVAILABLE\]/);
      client.send(`t ${replace}`);
      expect(await taken('t')).not.toContain('my words');
    });
  });

  test.each(['Other', '{5+}\r\nOther', '{5}\r\nOther'])(
    'also where it is copied to by a session that has listed nothing: %j',
    async (name) => {
      await select('Safe');
      const [line = '', literal] = name.split('\r\n');
      client.send(`a UID COPY 9 ${line}\r\n`);
      if (literal !== undefined) {
        if (!line.includes('+')) await client.until(/^\+ [^\r]*\r\n/);
        client.send(`${literal}\r\n`);
      }
      await markers();
      expect(await server.until(/a UID COPY 9 (?:Other|\{5\+\}\r\nOther|\{5\}\r\n)/)).toContain('COPY');
      expect(await mailboxes.has(LOGIN, 'Other')).toBe(true);
    },
  );
});
