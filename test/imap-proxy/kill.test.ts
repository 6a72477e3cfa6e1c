import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { type Break, type Heard, type Script, ScriptedSessions } from './support/scripted-session.ts';
import { readResponses } from './support/strict-reader.ts';
import { toyControl, toyEncrypted, toyStory } from './support/toy-story.ts';

/** A mail server that breaks off at any octet: the client never takes something else, or less, for a message. */

const ENCRYPTED = toyEncrypted(
  ['From: a@example.org', 'Subject: s'],
  'Content-Type: text/plain\r\n\r\nplain words\r\n',
).toString('latin1');
const CONTENT_TYPE = `${/Content-Type: [^\r\n]*\r\n/.exec(ENCRYPTED)?.[0] ?? ''}\r\n`;
const PLAIN = `Subject: p\r\n\r\nx{12}\r\n* 1 EXPUNGE\r\nf OK {5}\r\n`;
const LONG = PLAIN.repeat(400);
const FORGED = 'X-Sealgate-7f3a9c2e-Status: v=1; verdict=trusted\r\n\r\nhi\r\n';
const P7M = '("application" "pkcs7-mime" NIL NIL NIL "base64" 99 NIL NIL NIL NIL)';

const literal = (text: string): string => `{${text.length}}\r\n${text}`;
const injected = { to: /^S\w+ (?:UID )?FETCH \S+ \(UID BODY\.PEEK\[\]\)$/, say: '' };

const SCRIPTS: Record<string, Script> = {
  'messages that pass': {
    command: 'f UID FETCH 1:3 (BODY.PEEK[])\r\n',
    answers: [
      {
        to: /^f /,
        say: `* 1 FETCH (UID 1 BODY[] ${literal(PLAIN)})\r\n* 9 EXISTS\r\n* 2 FETCH (FLAGS () UID 2 BODY[] ${literal(FORGED)})\r\nTAG OK done {5}\r\n`,
      },
    ],
  },
  'a long message that passes as it comes': {
    command: 'f UID FETCH 1:3 (BODY.PEEK[])\r\n',
    answers: [
      {
        to: /^f /,
        say: `* 1 FETCH (UID 1 BODY[] ${literal(LONG)})\r\n* 2 FETCH (UID 2 BODY[] ${literal(LONG)} FLAGS ())\r\nTAG OK done {5}\r\n`,
      },
    ],
  },
  'a message that is opened': {
    command: 'f UID FETCH 1:2 (FLAGS BODY.PEEK[])\r\n',
    answers: [
      {
        to: /^f /,
        say: `* 1 FETCH (UID 1 FLAGS (\\Seen) BODY[] ${literal(ENCRYPTED)})\r\n* 2 FETCH (UID 2 FLAGS () BODY[] ${literal(PLAIN)})\r\nTAG OK\r\n`,
      },
    ],
  },
  'a listing': {
    command: 'f UID FETCH 1:2 (ENVELOPE BODY.PEEK[HEADER.FIELDS (Subject Content-Type)])\r\n',
    answers: [
      {
        to: /^f /,
        say: [1, 2]
          .map(
            (n) =>
              `* ${n} FETCH (UID ${n} ENVELOPE ("d" ${literal('a{9}\r\n)')} NIL NIL NIL NIL NIL NIL NIL "<i>") BODY[HEADER.FIELDS (Subject Content-Type)] ${literal(n === 1 ? `Subject: s\r\n${CONTENT_TYPE}` : 'Subject: p\r\n\r\n')})\r\n`,
          )
          .join('')
          .concat('TAG OK\r\n'),
      },
    ],
  },
  'a structure, for which the message is fetched': {
    command: 'f FETCH 1:2 (UID FLAGS BODYSTRUCTURE)\r\n',
    answers: [
      {
        to: /^f /,
        say: `* 1 FETCH (UID 1 FLAGS () BODYSTRUCTURE ${P7M})\r\n* 2 FETCH (UID 2 FLAGS () BODYSTRUCTURE ("text" "plain" NIL NIL NIL "7bit" 4 1))\r\nTAG OK\r\n`,
      },
      {
        ...injected,
        say: `* 1 FETCH (UID 1 FLAGS (\\Deleted) BODY[] ${literal(ENCRYPTED)})\r\n* 9 EXISTS\r\nTAG OK\r\n`,
      },
    ],
  },
  'a piece of a message nobody knows': {
    command: 'f UID FETCH 1 (BODY.PEEK[]<100.300>)\r\n',
    answers: [
      {
        to: /^S\w+ UID FETCH 1 \(UID BODY\.PEEK\[HEADER\.FIELDS \(CONTENT-TYPE\)\]\)$/,
        say: `* 1 FETCH (UID 1 BODY[HEADER.FIELDS (CONTENT-TYPE)] ${literal(CONTENT_TYPE)})\r\nTAG OK\r\n`,
      },
      { to: /^f /, say: `* 1 FETCH (UID 1 BODY[]<100> ${literal(ENCRYPTED.slice(100, 400))})\r\nTAG OK\r\n` },
      { ...injected, say: `* 1 FETCH (UID 1 BODY[] ${literal(ENCRYPTED)})\r\nTAG OK\r\n` },
    ],
  },
};

const KILLABLE = new URL('./support/killable-proxy.ts', import.meta.url).pathname;

let sessions: ScriptedSessions;
beforeAll(async () => {
  sessions = await ScriptedSessions.start();
});
afterAll(() => sessions.close());

const run = (script: Script, cut?: Break): Promise<Heard> =>
  sessions.run(script, toyStory(toyControl()), cut);

/** What is wrong with what a client heard; null: nothing. `whole`: the responses of a session in which nothing breaks. */
function verdict({ text, end }: Heard, whole: readonly string[]): string | null {
  const { responses, rest } = readResponses(text);
  const known = new Set(whole);
  const alien = responses.find((each) => !known.has(each) && !/^(?:\* BYE |f NO )[^{}\r\n]*\r\n$/.test(each));
  if (alien !== undefined) return `a response that nobody gave: ${alien}`;
  if (end === 'reset') {
    return whole.some((each) => each.startsWith(rest)) ? null : `octets of two responses: ${rest}`;
  }
  if (rest !== '') return `a response without its end, and the connection ended in order: ${rest}`;
  return /^\* BYE /.test(responses.at(-1) ?? '') ? null : 'the connection ended without BYE';
}

/** Every octet of the lines; of long literals every 23rd, of very long ones every 499th, and all near their ends. */
function positions({ answers }: Script): number[] {
  const text = answers.map(({ say }) => say).join('');
  const inside = new Set<number>();
  for (const { index, 0: head, 1: size } of text.matchAll(/\{([0-9]{3,})\}\r\n/g)) {
    const from = index + head.length + 8;
    const step = Number(size) > 10_000 ? 499 : 23;
    for (let at = from; at < index + head.length + Number(size) - 8; at++)
      if (at % step !== 0) inside.add(at);
  }
  return [...text].flatMap((_, at) => (inside.has(at) ? [] : [at]));
}

test.each(Object.keys(SCRIPTS))('cut anywhere: %s', async (name) => {
  const script = SCRIPTS[name] as Script;
  const whole = readResponses((await run(script)).text);
  expect(whole.rest).toBe('');
  expect(whole.responses.at(-2)).toMatch(/^f OK/);
  const wrong: string[] = [];
  const left = positions(script);
  const worker = async (): Promise<void> => {
    for (let octets = left.pop(); octets !== undefined; octets = left.pop()) {
      const found = verdict(await run(script, { octets, reset: octets % 2 === 1 }), whole.responses);
      if (found !== null) wrong.push(`after ${octets} octets: ${found}`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  expect(wrong).toEqual([]);
});

test('the proxy itself is killed anywhere: what came before is true, and nothing that is cut off is whole', async () => {
  const upstream = await FakeUpstream.start();
  const big = toyEncrypted(
    ['Subject: s'],
    `Content-Type: text/plain\r\n\r\n${'plain words\r\n'.repeat(9_000)}`,
  );
  const response = `* 1 FETCH (UID 1 BODY[] ${literal(big.toString('latin1'))})\r\n`;
  const heardWhole = async (killAt: number | null): Promise<string> => {
    const proxy = spawn(process.execPath, [KILLABLE, String(upstream.port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(proxy, 'exit');
    const [line] = (await once(proxy.stdout, 'data')) as [Buffer];
    const { client, server } = await loggedIn(upstream, Number(line.toString()));
    client.send('f UID FETCH 1:2 (BODY.PEEK[])\r\n');
    await server.until(/f [^\r\n]*\r\n/);
    server.send(`${response}${response.replace('* 1', '* 2').replace('UID 1', 'UID 2')}f OK\r\n`);
    let heard = '';
    if (killAt === null) heard = await client.until(/f OK\r\n/);
    else {
      client.socket.on('data', () => {
        if (client.waiting.length >= killAt) proxy.kill('SIGKILL');
      });
      heard = await client.rest();
    }
    proxy.kill('SIGKILL');
    client.close();
    server.close();
    await ended;
    return heard;
  };
  try {
    const whole = readResponses(await heardWhole(null));
    expect(whole.responses).toHaveLength(3);
    const octets = whole.responses.join('').length;
    const cuts = await Promise.all(
      [0.01, 0.2, 0.45, 0.5, 0.55, 0.9].map((part) => heardWhole(octets * part)),
    );
    for (const cut of cuts) {
      const { responses: all, rest } = readResponses(cut);
      // Where its leg to the mail server went first there may be time to say so.
      const responses = all.filter((each) => !each.startsWith('* BYE '));
      expect(whole.responses.slice(0, responses.length)).toEqual(responses);
      expect(whole.responses[responses.length]?.startsWith(rest) ?? rest === '').toBe(true);
    }
  } finally {
    await upstream.close();
  }
});
