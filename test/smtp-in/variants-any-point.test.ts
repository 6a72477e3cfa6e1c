import { afterEach, describe, expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { HandOver, HandOverOutcome, Submission } from '../../src/pipeline/ports.ts';
import { beside, endAll, nextMail, nothingIsLeft, say } from './support/ends.ts';
import type { Act } from './support/fake-upstream.ts';
import { gatewayOf, type KindGateway, prelude } from './support/kinds.ts';

/**
 * A mail of several variants, and a mail server that fails at any one command of them. What counts as accepted is what it has, and neither a
 * later variant nor the next client's mail gets anything of another one.
 */

let gateway: KindGateway | null = null;
afterEach(async () => {
  await endAll(gateway);
  gateway = null;
});

const NAMES = ['b', 'c', 'd'];
const AT_REST: Readonly<Record<string, string>> = {
  EHLO: '250-upstream.test\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n',
  AUTH: '235 2.7.0 welcome\r\n',
  DATA: '354 go ahead\r\n',
  QUIT: '221 2.0.0 bye\r\n',
};

/** @param at counted from the first MAIL of the first connection; the end of data is one too */
function failing(at: number, act: Act) {
  let commands = 0;
  let hasMail = false;
  return {
    GREETING: '220 upstream.test ESMTP\r\n',
    '': (line: string, connection: number): Act => {
      hasMail ||= line.startsWith('MAIL');
      if (connection === 1 && hasMail && !line.startsWith('QUIT') && commands++ === at) return act;
      return AT_REST[line.slice(0, 4)] ?? '250 2.0.0 Ok\r\n';
    },
  };
}

async function play(kind: 'submission' | 'relay', at: number, act: Act) {
  const script = failing(at, act);
  const running = await gatewayOf(kind, { script }, { maxConnections: 2 });
  gateway = running;
  const outcomes: HandOverOutcome[] = [];
  const names: string[] = [];
  const { story } = running;
  const submit = story.submit.bind(story);
  story.submit = async (submission: Submission, handOver: HandOver) => {
    if (submission.envelope.recipients.length === 1) return submit(submission, handOver);
    const variants = submission.envelope.recipients.map((recipient) => ({
      recipients: [recipient],
      octets: bufferSource(Buffer.from(`for ${recipient.mailbox.localPart}\r\n`)),
      protection: { signed: false, encrypted: false },
      requireTls: false,
    }));
    names.push(...submission.envelope.recipients.map(({ mailbox }) => mailbox.localPart));
    // All at once: the hand-over keeps them in order.
    outcomes.push(...(await Promise.all(variants.map((variant) => handOver.deliver(variant)))));
    return { kind: 'refused', reply: { code: 451, lines: ['4.3.0 story: done'] } };
  };
  const other = await beside(running);
  const lines = [
    ...prelude(kind),
    'MAIL FROM:<a@example.org>',
    ...NAMES.map((name) => `RCPT TO:<${name}@example.net>`),
    'DATA',
  ];
  const client = await say(running, { lines, rest: 'text\r\n.\r\nQUIT\r\n' }, other).catch(() => null);
  await client?.toEnd();
  await nextMail(running);
  other.end();
  await nothingIsLeft(running);
  const { accepted } = running.upstream;
  return { outcomes, names, accepted: accepted.map(({ to, octets }) => [...to, octets.toString()]) };
}

const ACTS: readonly (readonly [string, Act, 'lost' | 'goes on'])[] = [
  ['closes', { close: true }, 'lost'],
  ['says 421 and closes', { say: '421 4.3.2 going down\r\n', thenClose: true }, 'lost'],
  ['says half a line and closes', { say: '250 2.0', thenClose: true }, 'lost'],
  ['says what is no reply', 'HTTP/1.1 200 OK\r\n\r\n', 'lost'],
  ['refuses for now', '451 4.3.0 later\r\n', 'goes on'],
  ['refuses for good', '550 5.7.1 never\r\n', 'goes on'],
];
const WHOLE = [
  ...NAMES.map((name) => [`RCPT TO:<${name}@example.net>`, `for ${name}\r\n`]),
  ['RCPT TO:<b@example.net>', 'next\r\n'],
];
/** MAIL, three RCPT, and of each variant RSET (of the open transaction, or after a failure), MAIL, RCPT, DATA and the end of data. */
const COMMANDS = 4 + 5 + 4 + 4;

describe.each(['submission', 'relay'] as const)('%s', (kind) => {
  test('nothing fails: each variant reaches its own recipient', async () => {
    const { outcomes, accepted } = await play(kind, Number.POSITIVE_INFINITY, '');
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(NAMES.map(() => 'accepted'));
    expect(accepted).toEqual(WHOLE);
  });

  test.each(ACTS)('a mail server that %s', async (_, act, then) => {
    for (let at = 0; at < COMMANDS; at++) {
      const { outcomes, names, accepted } = await play(kind, at, act);
      const has = outcomes.flatMap(({ kind: became }, i) =>
        became === 'accepted' ? [WHOLE[NAMES.indexOf(names[i] ?? '')]] : [],
      );
      expect({ at, accepted }).toEqual({ at, accepted: [...has, WHOLE.at(-1)] });
      // Whoever comes after a loss is not called anew by this session.
      const firstLost = outcomes.findIndex((outcome) => outcome.kind === 'unreachable');
      if (then === 'lost' && firstLost !== -1) {
        expect(outcomes.slice(firstLost).every((outcome) => outcome.kind === 'unreachable')).toBe(true);
      }
      await endAll(gateway);
      gateway = null;
    }
  });
});
