import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AssuanAnswer, AssuanClient, AssuanFault, encodeArgument } from '../../../src/hsm/pin/assuan.ts';

/** A client and the other side's mouth. */
function connected() {
  const commands = new PassThrough();
  const answers = new PassThrough();
  return { client: new AssuanClient(commands, answers), commands, answers };
}

async function answerTo(...chunks: readonly (string | Buffer)[]): Promise<AssuanAnswer | string> {
  const { client, answers } = connected();
  const greeting = client.greeting();
  for (const chunk of chunks) answers.write(chunk);
  answers.end();
  try {
    return await greeting;
  } catch (error) {
    if (error instanceof AssuanFault) return error.message;
    throw error;
  }
}

const ok = (data: string) => ({ kind: 'ok', data: Buffer.from(data), status: [] });

describe('an answer of the Assuan protocol', () => {
  test.each<[string, string, unknown]>([
    ['OK', 'OK Pleased to meet you\n', ok('')],
    ['data', 'D 1234\nOK\n', ok('1234')],
    ['data with percent-encoding', 'D a%25%0A%c3%A9\nOK\n', ok('a%\né')],
    ['data of several lines', 'D 12\nD 34\nOK\n', ok('1234')],
    [
      'comments and status',
      '# hello\nS PASSWORD_FROM_CACHE\nD 1\nOK\n',
      { ...ok('1'), status: ['PASSWORD_FROM_CACHE'] },
    ],
    ['a refusal', 'ERR 83886179 Operation cancelled <Pinentry>\n', { kind: 'error', code: 83_886_179 }],
    ['a refusal after data, which is forgotten', 'D 1234\nERR 1\n', { kind: 'error', code: 1 }],
  ])('is understood: %s', async (_, text, expected) => {
    expect(await answerTo(text)).toEqual(expected);
    expect(await answerTo(...text)).toEqual(expected);
  });

  test.each<[string, string | Buffer, RegExp]>([
    ['nothing', '', /ended without an answer/],
    ['half a line', 'OK', /ended without an answer/],
    ['another protocol', 'HTTP/1.1 200 OK\r\n\r\n', /not Assuan/],
    ['a line end of another system', 'OK\r\n', /not Assuan/],
    ['a question back', 'INQUIRE QUALITY\n', /not Assuan/],
    ['NUL', Buffer.alloc(10), /ended|not Assuan/],
    ['NUL in a line', 'O\0K\n', /not Assuan/],
    ['a percent sign at the end', 'D 12%\nOK\n', /hexadecimal/],
    ['half a percent-encoding', 'D 12%3\nOK\n', /hexadecimal/],
    ['percent nonsense', 'D %zz\nOK\n', /hexadecimal/],
    ['a line without end', Buffer.alloc(1_001, 0x44), /too long/],
    ['endless lines', '# \n'.repeat(101), /more lines/],
    ['endless status', 'S x\n'.repeat(101), /more lines/],
    ['endless data', `D ${'1'.repeat(998)}\n`.repeat(5), /more than a PIN/],
    ['a refusal without a number', 'ERR cancelled\n', /not Assuan/],
    ['an endless number', `ERR ${'9'.repeat(900)}\n`, /not Assuan/],
  ])('is refused: %s', async (_, octets, sentence) => {
    expect(await answerTo(octets)).toMatch(sentence);
  });

  test('that nobody asked for ends the conversation', async () => {
    const { client, answers } = connected();
    const greeting = client.greeting();
    answers.write('OK\nOK\nD 1234\nOK\n');
    await greeting;
    await expect(client.send('GETPIN')).rejects.toThrow(/unasked|not talked to/);
  });

  test('leaves no chunk with the PIN in it', async () => {
    const { client, answers } = connected();
    const greeting = client.greeting();
    const chunk = Buffer.from('D 739105\nOK\n');
    answers.write(chunk);
    expect(await greeting).toEqual(ok('739105'));
    expect(chunk.equals(Buffer.alloc(chunk.length))).toBe(true);
  });

  test('whatever comes, in whatever pieces, is an answer or a fault', async () => {
    const piece = fc.oneof(
      fc.constantFrom('OK', 'D ', 'ERR ', 'S ', '#', '\n', '\r', '%', '%41', '%zz', '1', '\0', ' '),
      fc.string({ unit: 'binary', maxLength: 20 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
        const whole = await answerTo(Buffer.from(pieces.join('')));
        const inPieces = await answerTo(
          ...[...Buffer.from(pieces.join(''))].map((octet) => Buffer.from([octet])),
        );
        expect(inPieces).toEqual(whole);
      }),
    );
  });
});

describe('a command', () => {
  test('is one line whatever is in it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const encoded = encodeArgument(text);
        expect(encoded).not.toMatch(/[\r\n\0]/);
        expect(
          decodeURIComponent(encoded.toWellFormed().replace(/[^%\x20-\x7e]/gu, encodeURIComponent)),
        ).toBe(text.toWellFormed());
      }),
    );
  });

  test('that would be two is never sent', () => {
    const { client, commands } = connected();
    expect(() => client.send('SETDESC a\nGETPIN')).toThrow('one line');
    expect(() => client.send(`SETDESC ${'a'.repeat(1_000)}`)).toThrow('one line');
    expect(commands.read()).toBeNull();
  });
});
