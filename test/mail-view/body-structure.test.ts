import { expect, test } from 'vitest';
import { bodyStructure } from '../../src/mail-view/body-structure.ts';
import { MessageView } from '../../src/mail-view/message-view.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { countedTurns } from '../octets/support/counted-turns.ts';

function nestedMessages(depth: number): MessageView {
  const head = 'Content-Type: message/rfc822\r\n\r\n'.repeat(depth);
  return new MessageView(bufferSource(Buffer.from(`${head}Content-Type: text/plain\r\n\r\ndeep\r\n`)));
}

test('attack: messages 5,000 deep are looked into only so far; the rest is octets, and its part is still there', async () => {
  for (const extended of [true, false]) {
    const structure = (await bodyStructure(nestedMessages(5_000), extended)).toString();
    expect(structure.match(/"message" "rfc822"/g)).toHaveLength(20);
    expect(structure.match(/"application" "octet-stream"/g)).toHaveLength(1);
    expect(structure).not.toContain('"text"');
  }
});

test('what the structure shows as octets has no parts of its own', async () => {
  const view = nestedMessages(30);
  const path = (length: number): number[] => Array.from({ length }, () => 1);
  expect((await view.part(path(20)))?.message ?? null).not.toBeNull();
  expect(await view.part(path(21))).toMatchObject({ message: null });
  expect(await view.part(path(22))).toBeNull();
});

test('an ordinary forward is shown with its envelope', async () => {
  const view = nestedMessages(2);
  expect((await bodyStructure(view, false)).toString()).toContain('"text" "plain"');
});

test('attack: of a mail with very many parts the structure is said bit by bit, so that others have their turn', async () => {
  const part = '--b\r\n\r\ntext\r\n';
  const mail = `Content-Type: multipart/mixed; boundary=b\r\n\r\n${part.repeat(9_000)}--b--\r\n`;
  const view = new MessageView(bufferSource(Buffer.from(mail)));
  await view.root();
  const { slice, turns } = countedTurns();
  const structure = await bodyStructure(view, false, slice);
  expect(structure.toString().match(/"text" "plain"/g)).toHaveLength(9_000);
  expect(turns()).toBeGreaterThan(9_000);
});
