import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import type { InboundStory } from '../../src/pipeline/ports.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyControl, toyEncrypted, toyStory } from './support/toy-story.ts';

/** What is found by a real mail server and by the gateway together. */

const LOGIN = 'bob@example.org';
const PASSWORD = 'a test';

function fields(subject: string, from = 'alice'): string[] {
  return [
    `From: ${from} <${from}@example.org>`,
    `To: ${LOGIN}`,
    `Subject: ${subject}`,
    'Date: Fri, 02 Jan 2026 03:04:05 +0000',
    'DKIM-Signature: v=1; d=example.org; b=abc',
  ];
}

const text = (words: string): string =>
  `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${words}\r\n`;
const plain = (subject: string, words: string): Buffer =>
  Buffer.from(`${[...fields(subject), text(words)].join('\r\n')}`, 'latin1');
const sealed = (subject: string, words: string, from?: string): Buffer =>
  toyEncrypted(fields(subject, from), text(words));

/** 1 and 2 are deleted, so that UIDs are not message numbers. */
const MESSAGES: readonly Buffer[] = [
  plain('gone', 'oak'),
  plain('gone', 'oak'),
  plain('three', 'oak and ash'),
  sealed('four', 'oak and elm'),
  sealed('five', 'a =C3=BCber beech'),
  sealed('[...]', 'hidden fir', 'carol'),
  plain('seven', 'cGxhaW4gdGV4dA elm'),
  sealed('eight', 'oak never opened', 'dave'),
];
const OPENED = '4:6';

/** The sixth has a protected header. */
const story: InboundStory = {
  async open(request) {
    const outcome = await toyStory(toyControl()).open(request);
    const header = Buffer.from(
      'From: carol@example.org\r\nSubject: the cellar door\r\nDate: Sun, 04 Jan 2026 00:00:00 +0000\r\n',
    );
    if (outcome.kind !== 'opened' || request.octets.length !== MESSAGES[5]?.length) return outcome;
    return { ...outcome, header };
  },
};

let dovecot: Dovecot;
let proxy: TestProxy;
let client: ImapConversation;

beforeAll(async () => {
  dovecot = await startDovecot({ users: [{ login: LOGIN, password: PASSWORD }] });
  proxy = await startTestProxy(dovecot.imapPort, { story });
  const direct = await ImapConversation.login(dovecot.imapPort, LOGIN, `"${PASSWORD}"`);
  for (const octets of MESSAGES) {
    direct.send(`a APPEND INBOX {${octets.length}}\r\n`);
    await direct.until(/\+[^\r\n]*\r\n/);
    direct.send(octets);
    direct.send('\r\n');
    await direct.until(/a OK[^\r\n]*\r\n/);
  }
  await direct.command('SELECT INBOX');
  await direct.command('STORE 1:2 +FLAGS (\\Deleted)');
  await direct.command('EXPUNGE');
  direct.close();
  client = await ImapConversation.login(proxy.port, LOGIN, `"${PASSWORD}"`);
  await client.command('SELECT INBOX');
  await client.command(`UID FETCH ${OPENED} (BODY.PEEK[])`);
});

afterAll(async () => {
  client?.close();
  await proxy?.close();
  await dovecot?.stop();
});

/** The numbers an untagged answer has. */
async function found(command: string): Promise<string> {
  const answer = await client.command(command);
  expect(answer).toMatch(/\r\nc[0-9]+ OK /);
  return /^\* (?:SEARCH|SORT|ESEARCH \(TAG "c[0-9]+"\)) ?(.*)\r\n/m.exec(answer)?.[1] ?? answer;
}

describe('words of decrypted mail', () => {
  test.each([
    ['BODY oak', '3 4'],
    ['BODY "OAK AND"', '3 4'],
    ['NOT BODY oak', '5 6 7 8'],
    ['OR BODY fir BODY ash', '3 6'],
    ['BODY oak NOT (BODY ash)', '4'],
    ['CHARSET UTF-8 BODY "\xc3\xbcber"', '5'],
    ['CHARSET ISO-8859-1 BODY "\xfcBER"', '5'],
    ['BODY cGxhaW4gdGV4dA', '7'],
    ['BODY Q0ND', ''],
    ['TEXT dave', '8'],
    ['TEXT never', ''],
    ['TEXT elm', '4 7'],
    ['BODY ""', '3 4 5 6 7 8'],
    ['SUBJECT "cellar"', '6'],
    ['SUBJECT "[...]"', ''],
    ['FROM carol', '6'],
    ['SENTON 4-Jan-2026', '6'],
    ['NOT SENTON 2-Jan-2026', '6'],
    ['HEADER Content-Type pkcs7', ''],
    ['HEADER Content-Type multipart/mixed', '4 5 6 8'],
    ['HEADER DKIM-Signature example.org', '3 7'],
    ['HEADER X-Sealgate-7f3a9c2e-Status opened', '4 5 6'],
    ['UID 5:* BODY oak', ''],
    ['1:2 BODY oak', '3 4'],
    ['UNSEEN OR (BODY oak) (SUBJECT seven)', '3 4 7'],
  ])('UID SEARCH %s', async (criteria, uids) => {
    expect(await found(`UID SEARCH ${criteria}`)).toBe(uids);
    const numbers =
      uids === ''
        ? ''
        : uids
            .split(' ')
            .map((uid) => Number(uid) - 2)
            .join(' ');
    if (!criteria.includes('UID')) expect(await found(`SEARCH ${criteria}`)).toBe(numbers);
  });

  test('with RETURN, by UID and by number', async () => {
    expect(await found('UID SEARCH RETURN () BODY oak')).toBe('UID ALL 3:4');
    expect(await found('SEARCH RETURN (MIN MAX COUNT) BODY oak')).toBe('MIN 1 MAX 2 COUNT 2');
    expect(await found('UID SEARCH RETURN (COUNT) BODY nothing')).toBe('UID COUNT 0');
    expect(await found('UID SEARCH RETURN (PARTIAL -1:-1) BODY oak')).toBe('UID PARTIAL (-1:-1 4)');
  });

  test('as literals, with and without being asked for', async () => {
    client.send('l1 UID SEARCH CHARSET UTF-8 BODY {5}\r\n');
    await client.until(/^\+ [^\r\n]*\r\n/);
    client.send('\xc3\xbcber\r\n'.slice(0, 5));
    client.send(' UNSEEN\r\n');
    expect(await client.until(/l1 OK[^\r\n]*\r\n/)).toContain('* SEARCH 5\r\n');
    client.send('l2 UID SEARCH SUBJECT {5+}\r\nseven BODY {3+}\r\nelm\r\n');
    expect(await client.until(/l2 OK[^\r\n]*\r\n/)).toContain('* SEARCH 7\r\n');
    client.send('l3 UID SEARCH SUBJECT {5+}\r\nseven\r\n');
    expect(await client.until(/l3 OK[^\r\n]*\r\n/)).toContain('* SEARCH 7\r\n');
  });

  test('are saved for later commands', async () => {
    expect(await client.command('UID SEARCH RETURN (SAVE) BODY oak')).toMatch(/^c[0-9]+ OK/);
    expect(await found('UID SEARCH UID $')).toBe('3 4');
    expect(await found('UID SEARCH $ BODY elm')).toBe('4');
    expect(await found('SEARCH RETURN (SAVE MIN) BODY oak')).toBe('MIN 1');
    expect(await found('UID SEARCH $')).toBe('3');
    expect(await client.command('UID SEARCH RETURN (SAVE) BODY nothing')).toMatch(/^c[0-9]+ OK/);
    expect(await found('UID SEARCH $')).toBe('');
    expect(await found('UID SEARCH RETURN (SAVE ALL) OR $ BODY oak')).toBe('UID ALL 3:4');
  });

  test('are saved in pieces where they are many: $ with more is a new $', async () => {
    await client.command('UID SEARCH RETURN (SAVE) UID 3');
    await client.command('UID SEARCH RETURN (SAVE) OR UID $ UID 5,7');
    expect(await found('UID SEARCH $')).toBe('3 5 7');
    await client.command('SEARCH RETURN (SAVE) OR $ 2');
    expect(await found('SEARCH $')).toBe('1 2 3 5');
  });

  test('in the order of SORT, and in threads', async () => {
    expect(await found('UID SORT (SUBJECT) UTF-8 BODY oak')).toBe('4 3');
    expect(await found('UID SORT (REVERSE SUBJECT) UTF-8 BODY oak')).toBe('3 4');
    expect(await found('SORT (SUBJECT) US-ASCII BODY oak')).toBe('2 1');
    expect(await found('UID SORT (ARRIVAL) UTF-8 BODY nothing')).toBe('');
    expect(await client.command('UID THREAD ORDEREDSUBJECT UTF-8 BODY oak')).toMatch(
      /^\* THREAD \((?:3|4)\)\((?:3|4)\)\r\n/,
    );
  });

  test('with the highest mod-sequence where it is asked for', async () => {
    expect(await found('UID SEARCH MODSEQ 1 BODY oak')).toMatch(/^3 4 \(MODSEQ [0-9]+\)$/);
    expect(await found('UID SEARCH RETURN (COUNT) MODSEQ 1 BODY oak')).toMatch(/^UID COUNT 2 MODSEQ [0-9]+$/);
  });

  test('errors are the mail server’s', async () => {
    expect(await client.command('UID SEARCH CHARSET X-NONE BODY oak')).toMatch(/^c[0-9]+ NO \[BADCHARSET/);
    expect(await client.command('UID SEARCH BODY')).toMatch(/^c[0-9]+ BAD /);
    expect(await client.command('UID SEARCH FUZZY BODY oak')).toMatch(/\r\nc[0-9]+ OK |^c[0-9]+ BAD /);
  });
});

describe('where a search looks into messages that were not opened', () => {
  let far: TestProxy;
  let opening: ImapConversation;
  const control = toyControl();

  beforeAll(async () => {
    far = await startTestProxy(dovecot.imapPort, {
      story: toyStory(control),
      search: { kind: 'all', messages: 3, milliseconds: 60_000 },
    });
    opening = await ImapConversation.login(far.port, LOGIN, `"${PASSWORD}"`);
    await opening.command('EXAMINE INBOX');
  });

  afterAll(async () => {
    opening?.close();
    await far?.close();
  });

  const search = async (command: string): Promise<string> => {
    const answer = await opening.command(command);
    expect(answer).toMatch(/\r\nc[0-9]+ OK /);
    return /^\* SEARCH ?(.*)\r\n/m.exec(answer)?.[1] ?? answer;
  };

  test('one whose key is away is not found, and nothing is said of it', async () => {
    control.mode = 'unavailable';
    expect(await search('UID SEARCH BODY "never opened"')).toBe('');
    expect(await search('SEARCH NOT BODY never')).toBe('1 2 3 4 5 6');
    control.mode = 'works';
  });

  test('only those are opened that the rest of the search would find, and no more than allowed, the newest first', async () => {
    const before = control.opened;
    expect(await search('UID SEARCH SUBJECT nothing BODY oak')).toBe('');
    expect(await search('UID SEARCH UID 4 BODY nothing')).toBe('');
    expect(control.opened - before).toBe(1);
    expect(await search('SEARCH BODY oak')).toBe('1 2 6');
    expect(control.opened - before).toBe(4);
    expect(await search('UID SEARCH BODY beech')).toBe('5');
    expect(control.opened - before).toBe(4);
  });
});
