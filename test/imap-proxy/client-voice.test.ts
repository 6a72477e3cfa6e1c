import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import type { Answer } from '../../src/imap-proxy/answer.ts';
import { ClientVoice } from '../../src/imap-proxy/client-voice.ts';
import { MessageView } from '../../src/mail-view/message-view.ts';
import type { OctetSource, OctetStream } from '../../src/octets/source.ts';
import { closeSocketPairs, socketPair } from './support/socket-pair.ts';

afterEach(closeSocketPairs);

const CHUNK = 64 * 1024;

/** A view of `chunks` chunks of one letter each; the read of chunk `broken` fails. */
class Octets implements OctetSource {
  readonly length: number;
  readChunks = 0;
  readonly #broken: number;

  constructor(chunks: number, broken = -1) {
    this.length = chunks * CHUNK;
    this.#broken = broken;
  }

  async *read(start = 0, end = this.length): OctetStream {
    for (let at = start; at < end; at += CHUNK) {
      if (at / CHUNK === this.#broken) throw damaged();
      this.readChunks++;
      yield Buffer.alloc(CHUNK, 'a');
    }
  }
}

function damaged(): SealgateError {
  return new SealgateError({ code: 'spool.damaged', publicText: 'Damaged.', duration: 'temporary' });
}

function answerOf(octets: Octets): { answer: Answer; discarded: Promise<void> } {
  let discard: () => void = () => undefined;
  const discarded = new Promise<void>((resolve) => {
    discard = resolve;
  });
  const view = new MessageView(octets, async () => discard());
  const pieces = [
    Buffer.from('<'),
    { source: view.octets, range: { start: 0, end: view.length } },
    Buffer.from('>'),
  ];
  return { answer: { pieces, release: view.hold() }, discarded };
}

async function heard(peer: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(peer, 'close');
  return Buffer.concat(chunks)
    .toString('latin1')
    .replace(/a{2,}/g, (run) => `[${run.length}]`);
}

test('answers come whole and in order, whatever is said while they are written', async () => {
  const { wire, peer } = await socketPair();
  const voice = new ClientVoice(wire, () => undefined);
  const all = heard(peer);
  const first = voice.whole(answerOf(new Octets(20)).answer);
  const piece = voice.piece(Buffer.from('(relayed '));
  const second = voice.whole(answerOf(new Octets(2)).answer);
  await voice.piece(Buffer.from('to its end)'));
  voice.responseEnded();
  await Promise.all([first, piece, second, voice.whole(Buffer.from('.'))]);
  wire.end();
  expect(await all).toBe(`<[${20 * CHUNK}]>(relayed to its end)<[${2 * CHUNK}]>.`);
});

test('a client that reads slowly: its view is read as it takes it, and let go when it has it', async () => {
  const { wire, peer, socket } = await socketPair();
  peer.pause();
  const voice = new ClientVoice(wire, () => undefined);
  const octets = new Octets(1_000);
  const { answer, discarded } = answerOf(octets);
  const written = voice.whole(answer);
  while (!socket.writableNeedDrain) await new Promise((resolve) => setImmediate(resolve));
  expect(octets.readChunks).toBeLessThan(400);
  const all = heard(peer);
  peer.resume();
  await written;
  await discarded;
  wire.end();
  expect(await all).toBe(`<[${1_000 * CHUNK}]>`);
});

test('attack: octets that cannot be read any more: the connection is reset, and nothing follows', async () => {
  const { wire, peer } = await socketPair();
  const errors: unknown[] = [];
  const voice = new ClientVoice(wire, (error) => errors.push(error));
  const { answer, discarded } = answerOf(new Octets(10, 5));
  const reset = once(peer, 'error');
  peer.resume();
  const said = [voice.whole(answer), voice.whole(Buffer.from('more'))];
  await Promise.all(said);
  await discarded;
  expect(String((await reset)[0])).toContain('ECONNRESET');
  expect(errors).toMatchObject([{ code: 'spool.damaged' }]);
  expect(voice.inside).toBe(true);
});

test('a client that goes away in the middle of an answer: its view is let go', async () => {
  const { wire, peer, socket } = await socketPair();
  peer.pause();
  const voice = new ClientVoice(wire, () => undefined);
  const { answer, discarded } = answerOf(new Octets(1_000));
  const written = voice.whole(answer);
  while (!socket.writableNeedDrain) await new Promise((resolve) => setImmediate(resolve));
  peer.destroy();
  await Promise.all([written, discarded, voice.quiet()]);
  expect(voice.inside).toBe(true);
});

test('attack: what is ready only after the session was given up inside a response: it is not said, and its view is let go', async () => {
  const { wire, peer } = await socketPair();
  const all = heard(peer);
  const voice = new ClientVoice(wire, () => undefined);
  await voice.piece(Buffer.from('(relayed '));
  voice.abandon();
  const { answer, discarded } = answerOf(new Octets(2));
  await Promise.all([
    voice.whole(answer),
    voice.whole(Buffer.from('more')),
    voice.turn(() => undefined),
    discarded,
  ]);
  expect(voice.inside).toBe(true);
  wire.end();
  expect(await all).toBe('(relayed ');
});
