import { afterEach, beforeEach, expect, test } from 'vitest';
import type { InboundStory } from '../../src/pipeline/ports.ts';
import { type ImapConversation, literal, literalAfter } from './support/imap-conversation.ts';
import { startTestSession, type TestSession } from './support/test-session.ts';
import { toyControl, toyEncrypted, toyStory } from './support/toy-story.ts';

/** What a client is told of a message whose Subject is hidden outside (RFC 9788), before and after it was opened. */

const ENCRYPTED = toyEncrypted(
  ['From: a@example.org', 'Subject: [...]'],
  'Content-Type: text/plain\r\n\r\nplain words\r\n',
);

/** Opens to a message with a protected header. */
const story: InboundStory = {
  async open(request) {
    const outcome = await toyStory(toyControl()).open(request);
    if (outcome.kind !== 'opened') return outcome;
    return { ...outcome, header: Buffer.from('From: a@example.org\r\nSubject: the cellar door\r\n') };
  },
};

let client: ImapConversation;
let server: ImapConversation;
let close: TestSession['close'];

beforeEach(async () => {
  ({ client, server, close } = await startTestSession({ story }));
});

afterEach(() => close());

const ENVELOPE = '(NIL "[...]" ((NIL NIL "a" "example.org")) NIL NIL NIL NIL NIL NIL NIL)';

async function list(): Promise<string> {
  client.send('f1 UID FETCH 9 (FLAGS ENVELOPE BODY.PEEK[HEADER.FIELDS (From Subject)])\r\n');
  await server.until(/f1 UID FETCH [^\r\n]*\r\n/);
  const fields = literal('From: a@example.org\r\nSubject: [...]\r\n\r\n');
  const label = 'BODY[HEADER.FIELDS (FROM SUBJECT)]';
  server.send(`* 3 FETCH (UID 9 FLAGS () ENVELOPE ${ENVELOPE} ${label} ${fields})\r\nf1 OK done\r\n`);
  return client.until(/f1 OK done\r\n/);
}

test('a listing needs no key and says what the server holds; once opened, it agrees with what was shown', async () => {
  expect(await list()).toContain(ENVELOPE);
  client.send('f2 UID FETCH 9 (BODY.PEEK[])\r\n');
  await server.until(/f2 UID FETCH [^\r\n]*\r\n/);
  server.send(`* 3 FETCH (UID 9 BODY[] ${literal(ENCRYPTED)})\r\nf2 OK done\r\n`);
  const whole = await client.until(/f2 OK done\r\n/);
  expect(whole).toContain(`{${ENCRYPTED.length}}`);
  expect(whole).toContain('\r\nSubject: the cellar door\r\n');
  const listed = await list();
  expect(listed).not.toContain('[...]');
  expect(listed).toContain('ENVELOPE (NIL "the cellar door" ((NIL NIL "a" "example.org"))');
  expect(literalAfter(listed, 'HEADER.FIELDS')).toBe(
    'From: a@example.org\r\nSubject: the cellar door\r\n\r\n',
  );
});

test('in another mailbox the same number is another message', async () => {
  client.send('f2 UID FETCH 9 (BODY.PEEK[])\r\n');
  await server.until(/f2 UID FETCH [^\r\n]*\r\n/);
  server.send(`* 3 FETCH (UID 9 BODY[] ${literal(ENCRYPTED)})\r\nf2 OK done\r\n`);
  await client.until(/f2 OK done\r\n/);
  client.send('s1 SELECT Other\r\n');
  await server.until(/s1 SELECT Other\r\n/);
  server.send('* OK [UIDVALIDITY 8] x\r\ns1 OK [READ-WRITE] done\r\n');
  await client.until(/s1 OK [^\r\n]*\r\n/);
  expect(await list()).toContain(ENVELOPE);
});
