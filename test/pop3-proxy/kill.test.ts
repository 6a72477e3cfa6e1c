import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { stuffed } from '../../src/smtp/dot-stuffing.ts';
import { toyEncrypted } from '../imap-proxy/support/toy-story.ts';
import { Conversation } from './support/conversation.ts';
import { ScriptedServer } from './support/scripted-server.ts';

/** The proxy is killed anywhere in what it gives a client: nothing that is short has the line that ends a message. */

const KILLABLE = new URL('./support/killable-proxy.ts', import.meta.url).pathname;
const LINES = Array.from(
  { length: 30_000 },
  (_, n) => `${n % 7 === 0 ? '.' : ''}${n} of many lines\r\n`,
).join('');
const PLAIN = Buffer.from(`Subject: p\r\n\r\n${LINES}`);
const ENCRYPTED = toyEncrypted(['Subject: s'], `Content-Type: text/plain\r\n\r\n${LINES}`);
const COMMANDS = ['RETR 1', 'TOP 1 20000', 'RETR 2', 'TOP 2 0'];

/** `octets`: when the client has so many. `told`: when the server is told that, and has answered with that part of the message. */
type Kill = { octets: number } | { told: string; part: number };

/** What a client hears that sends all commands at once. */
async function heard(kill: Kill | null): Promise<string> {
  const proxy: { kill(): void } = { kill: () => undefined };
  let silent = false;
  const server = await ScriptedServer.start(
    [
      { octets: ENCRYPTED, uidl: 'e' },
      { octets: PLAIN, uidl: 'p' },
    ],
    {
      answer(command, socket) {
        if (silent) return Buffer.alloc(0);
        if (kill === null || !('told' in kill) || command !== kill.told) return null;
        silent = true;
        const octets = command.endsWith('1') ? ENCRYPTED : PLAIN;
        const wire = Buffer.concat([
          Buffer.from(`+OK ${octets.length} octets\r\n`),
          ...(stuffed(octets) ?? [octets, Buffer.from('.\r\n')]),
        ]);
        socket.write(wire.subarray(0, wire.length * kill.part), () => proxy.kill());
        return Buffer.alloc(0);
      },
    },
  );
  const child = spawn(process.execPath, [KILLABLE, String(server.port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  proxy.kill = () => child.kill('SIGKILL');
  const ended = once(child, 'exit');
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const client = await Conversation.login(Number(line.toString()));
  let octets = 0;
  client.socket.on('data', (chunk: Buffer) => {
    octets += chunk.length;
    if (kill !== null && 'octets' in kill && octets >= kill.octets) proxy.kill();
  });
  client.send(`${[...COMMANDS, 'QUIT'].join('\r\n')}\r\n`);
  const text = await client.rest();
  proxy.kill();
  client.close();
  await ended;
  await server.close();
  return text;
}

/** Whole answers, each up to the line that ends it; `rest`: one that has none. */
function answersIn(text: string): { answers: string[]; rest: string } {
  const answers: string[] = [];
  let at = 0;
  for (;;) {
    const end = text.indexOf('\r\n.\r\n', at);
    if (end === -1) return { answers, rest: text.slice(at) };
    answers.push(text.slice(at, end + 5));
    at = end + 5;
  }
}

test('killed anywhere: a message that is ended is whole, and one that is cut off has no end', async () => {
  const whole = await heard(null);
  const { answers, rest } = answersIn(whole);
  expect(answers.length).toBe(COMMANDS.length);
  expect(rest).toMatch(/^\+OK[^\r\n]*\r\n$/);
  expect(answers[0]).toContain('\r\n..0 of many lines\r\n1 of many lines\r\n');
  expect(answers[2]).toBe(`+OK ${PLAIN.length} octets\r\n${stuffedText(PLAIN)}`);
  const kills: Kill[] = [
    ...[0.000_001, 0.1, 0.3, 0.5, 0.7, 0.9].map((part) => ({ octets: whole.length * part })),
    ...[0, 0.2, 0.999_99].flatMap((part) => ['RETR 1', 'RETR 2'].map((told) => ({ told, part }))),
  ];
  const left = [...kills];
  const cut = new Map<Kill, string>();
  const worker = async (): Promise<void> => {
    for (let kill = left.pop(); kill !== undefined; kill = left.pop()) cut.set(kill, await heard(kill));
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  let unended = 0;
  for (const [kill, text] of cut) {
    const found = answersIn(text);
    // In words of few octets, should it fail.
    const lengths = found.answers.map((answer, n) => (answer === answers[n] ? 'whole' : answer.length));
    expect([kill, lengths]).toEqual([kill, found.answers.map(() => 'whole')]);
    expect([kill, whole.startsWith(text)]).toEqual([kill, true]);
    if (found.rest !== '' && found.answers.length < COMMANDS.length) unended++;
    // Of what has to be opened nothing is there before all of it is.
    if ('told' in kill && kill.told === 'RETR 1') expect([kill, text]).toEqual([kill, '']);
  }
  expect(unended).toBeGreaterThan(0);
});

function stuffedText(octets: Buffer): string {
  return `${octets.toString('latin1').replace(/(^|\r\n)\./g, '$1..')}.\r\n`;
}
