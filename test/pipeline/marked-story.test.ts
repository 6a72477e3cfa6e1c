import { expect, test } from 'vitest';
import { Secret } from '../../src/log/secret.ts';
import { collectFrom } from '../../src/octets/collect.ts';
import { markedStory } from '../../src/pipeline/marked-story.ts';
import type { OutboundStory, Submission } from '../../src/pipeline/ports.ts';
import { submission } from './support/ports.ts';

/** Mail of one organisation, from a server that many share. */

async function submitted(
  header: readonly string[],
  body = 'hello\r\n',
): Promise<{ code: number; got: string | null }> {
  let taken: Submission | null = null;
  const story: OutboundStory = {
    judgeRecipient: () => null,
    expectRecipient: () => undefined,
    async submit(mail) {
      taken = mail;
      return { kind: 'accepted', reply: { code: 250, lines: ['2.0.0 fine'] } };
    },
  };
  const octets = Buffer.from(`${header.join('\r\n')}\r\n\r\n${body}`);
  const mail = submission('alice@example.org', ['bob@elsewhere.test'], octets);
  const upstream = {
    upstream: { tls: true, requireTls: false },
    deliver: () => Promise.reject(new Error('nothing is handed over here')),
  };
  const marked = markedStory(story, { field: 'X-Relay-Secret', value: new Secret('opensesame') });
  const { reply } = await marked.submit(mail, upstream);
  const kept = taken as Submission | null;
  return {
    code: reply.code,
    got: kept === null ? null : (await collectFrom(kept.octets)).toString('latin1'),
  };
}

const FROM = 'From: alice@example.org';

test('mail with the secret is taken, and leaves without it', async () => {
  const rest = `${FROM}\r\nSubject: a\r\n\r\nhello\r\n`;
  const marks = ['X-Relay-Secret: opensesame', 'x-relay-secret:opensesame', 'X-RELAY-SECRET:\r\n opensesame'];
  for (const mark of marks) {
    expect(await submitted([FROM, mark, 'Subject: a'])).toEqual({ code: 250, got: rest });
  }
});

test.each([
  [[FROM]],
  [[FROM, 'X-Relay-Secret: opensesam']],
  [[FROM, 'X-Relay-Secret: opensesame opensesame']],
  [[FROM, 'X-Relay-Secret: OPENSESAME']],
  [[FROM, 'X-Relay-Secret:']],
  [[FROM, 'X-Relay-Secret: opensesame', 'X-Relay-Secret: opensesame']],
  [[FROM, 'X-Relay-Secret: opensesame', 'x-relay-secret: other']],
  [[FROM, 'X-Relay-Secrets: opensesame']],
  [[FROM, 'Subject: a', '', 'X-Relay-Secret: opensesame']],
])('%j is refused', async (header) => {
  expect(await submitted(header)).toEqual({ code: 550, got: null });
});
