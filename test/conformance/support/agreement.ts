import { expect } from 'vitest';
import type { ImapClient } from './imap-client.ts';
import { octetsOf, type Value } from './imap-response.ts';

/**
 * The one promise behind all of it: whoever reads a message, whole, in pieces or part by part, reads the same octets,
 * and what BODYSTRUCTURE and RFC822.SIZE say of them is so.
 */

export type Message = { size: number; whole: Buffer; structure: Value };

/** Reads one message whole and holds every other way against it. `open`: a session of its own, the mailbox selected. */
export async function expectAgreement(
  open: () => Promise<ImapClient>,
  uid: number,
  pieceSizes: readonly number[] = [1_000, 65_536],
): Promise<Message> {
  const client = await open();
  const [answer] = await client.fetch(`UID FETCH ${uid} (RFC822.SIZE BODYSTRUCTURE BODY.PEEK[])`);
  const whole = octetsOf(answer?.items.get('BODY[]'));
  const size = Number(answer?.items.get('RFC822.SIZE'));
  const structure = answer?.items.get('BODYSTRUCTURE') ?? null;
  for (const pieceSize of pieceSizes) {
    // A session of its own has nothing at hand that the other has made.
    const cold = await open();
    const pieces = await inPieces(cold, uid, pieceSize);
    expect(pieces.equals(whole), `pieces of ${pieceSize}`).toBe(true);
    cold.close();
  }
  const cold = await open();
  await expectParts(cold, uid, whole, structure);
  cold.close();
  client.close();
  return { size, whole, structure };
}

/** Fetches piece by piece until one is short, as clients do. */
export async function inPieces(
  client: ImapClient,
  uid: number,
  pieceSize: number,
  section = '',
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let at = 0; ; at += pieceSize) {
    const piece = await client.item(uid, `BODY.PEEK[${section}]<${at}.${pieceSize}>`);
    pieces.push(piece);
    if (piece.length < pieceSize) return Buffer.concat(pieces);
    if (piece.length > pieceSize) throw new Error(`${piece.length} octets for ${pieceSize}`);
  }
}

/** Every part by itself: its size and lines as the structure says, its octets where the whole has them. */
async function expectParts(client: ImapClient, uid: number, whole: Buffer, structure: Value): Promise<void> {
  const header = await client.item(uid, 'BODY.PEEK[HEADER]');
  const text = await client.item(uid, 'BODY.PEEK[TEXT]');
  expect(Buffer.concat([header, text]).equals(whole), 'HEADER and TEXT').toBe(true);
  const root = listOf(structure);
  if (isMultipart(root)) await expectChildren(client, uid, text, root, '');
  else await expectLeaf(client, uid, text, root, '1');
}

async function expectChildren(
  client: ImapClient,
  uid: number,
  body: Buffer,
  structure: readonly Value[],
  path: string,
): Promise<void> {
  const children = structure.filter(Array.isArray);
  const count = structure.findIndex((value) => !Array.isArray(value));
  const parameters = listOf(structure[count + 1] ?? null).map((value) => octetsOf(value).toString('latin1'));
  const name = parameters.findIndex((value) => value.toLowerCase() === 'boundary');
  const boundary = parameters[name + 1] ?? '';
  let at = 0;
  for (const [index, child] of children.slice(0, count).entries()) {
    const place = path === '' ? `${index + 1}` : `${path}.${index + 1}`;
    const line = body.indexOf(`--${boundary}\r\n`, at, 'latin1');
    expect(line, `boundary before ${place}`).toBeGreaterThanOrEqual(0);
    const begin = line + boundary.length + 4;
    const mime = await client.item(uid, `BODY.PEEK[${place}.MIME]`);
    const octets = await client.item(uid, `BODY.PEEK[${place}]`);
    expect(same(body, begin, mime), `${place}.MIME`).toBe(true);
    expect(same(body, begin + mime.length, octets), place).toBe(true);
    at = begin + mime.length + octets.length;
    expect(body.toString('latin1', at, at + boundary.length + 4), `boundary behind ${place}`).toBe(
      `\r\n--${boundary}`,
    );
    if (isMultipart(child)) await expectChildren(client, uid, octets, child, place);
    else await expectLeaf(client, uid, octets, child, place);
  }
  const closing = `\r\n--${boundary}--`;
  expect(body.toString('latin1', at, at + closing.length)).toBe(closing);
}

/** RFC 9051 §7.5.2: body-fld-octets, and of text and messages body-fld-lines. */
async function expectLeaf(
  client: ImapClient,
  uid: number,
  octets: Buffer,
  structure: readonly Value[],
  place: string,
): Promise<void> {
  const type = octetsOf(structure[0]).toString().toLowerCase();
  const subtype = octetsOf(structure[1]).toString().toLowerCase();
  expect(Number(structure[6]), `octets of ${place}`).toBe(octets.length);
  const lines = octets.toString('latin1').split('\n').length - 1;
  if (type === 'text') expect(Number(structure[7]), `lines of ${place}`).toBe(lines);
  expect((await inPieces(client, uid, 777, place)).equals(octets), `pieces of ${place}`).toBe(true);
  if (type !== 'message' || subtype !== 'rfc822') return;
  expect(Number(structure[9]), `lines of ${place}`).toBe(lines);
  const header = await client.item(uid, `BODY.PEEK[${place}.HEADER]`);
  const text = await client.item(uid, `BODY.PEEK[${place}.TEXT]`);
  expect(Buffer.concat([header, text]).equals(octets), `${place}.HEADER and ${place}.TEXT`).toBe(true);
  const inner = listOf(structure[8] ?? null);
  if (isMultipart(inner)) await expectChildren(client, uid, text, inner, place);
  else await expectLeaf(client, uid, text, inner, `${place}.1`);
}

function same(whole: Buffer, at: number, part: Buffer): boolean {
  return whole.subarray(at, at + part.length).equals(part);
}

function isMultipart(structure: readonly Value[]): boolean {
  return Array.isArray(structure[0]);
}

function listOf(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value;
  throw new Error(`no list: ${String(value)}`);
}
