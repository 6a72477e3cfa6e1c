import type { Entity, Range } from '../mail/entity.ts';
import { readEntityFrom } from '../mail/entity-source.ts';
import { readEntity, readMessage } from '../mail/entity-tree.ts';
import type { Message } from '../mail/message.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';

/**
 * A mail on its way out: in memory where it is short, else wherever it lies, of which no more than a header and some chunks are ever in
 * memory. What is said of the one holds for the other: the same decision, the same protection.
 */
export type OutgoingMessage = MessageInMemory | MessageInSource;

export type MessageInMemory = Message & { kind: 'in-memory' };

export type MessageInSource = {
  kind: 'in-source';
  octets: OctetSource;
  /** The octets before the body, empty line included. */
  header: Buffer;
  /** Ranges count in `octets`. Without parts where the header has been edited, and once the mail was judged. */
  root: Entity;
};

/**
 * @param memoryOctets what is not longer is read into memory
 * @throws as `readMessage`; the source's own
 */
export async function readOutgoing(octets: OctetSource, memoryOctets: number): Promise<OutgoingMessage> {
  if (octets.length <= memoryOctets) return inMemory(await collectFrom(octets));
  const root = await readEntityFrom(octets);
  return { kind: 'in-source', octets, header: await collectFrom(octets, 0, root.body.start), root };
}

/** A long one without what only a judgement needs: it may wait for a key, with many others, and parts take megabytes. */
export function withoutParts(message: OutgoingMessage): OutgoingMessage {
  return message.kind === 'in-memory' ? message : { ...message, root: { ...message.root, parts: [] } };
}

export function sourceOf({ octets }: OutgoingMessage): OctetSource {
  return Buffer.isBuffer(octets) ? bufferSource(octets) : octets;
}

/** What a message has before its body; ranges of its fields count in it. */
export function headerOf(message: OutgoingMessage): Buffer {
  return message.kind === 'in-memory' ? message.octets : message.header;
}

/** `text` (latin1) is to stand in the place of `range`, which lies in the header. */
export type HeaderEdit = { range: Range; text: string };

/** All other octets stay. The same message where nothing changes. */
export function withEditedHeader(message: OutgoingMessage, edits: readonly HeaderEdit[]): OutgoingMessage {
  if (edits.length === 0) return message;
  const octets = headerOf(message);
  const changes = edits
    .filter(({ range, text }) => octets.toString('latin1', range.start, range.end) !== text)
    .sort((one, other) => one.range.start - other.range.start);
  if (changes.length === 0) return message;
  const kept: Buffer[] = [];
  let from = 0;
  for (const { range, text } of changes) {
    kept.push(octets.subarray(from, range.start), Buffer.from(text, 'latin1'));
    from = range.end;
  }
  const edited = Buffer.concat([...kept, octets.subarray(from)]);
  return message.kind === 'in-memory' ? inMemory(edited) : underHeader(edited, message);
}

function inMemory(octets: Buffer): MessageInMemory {
  const { root } = readMessage(octets);
  return { kind: 'in-memory', octets, root };
}

function underHeader(header: Buffer, { octets, header: former }: MessageInSource): MessageInSource {
  const body = sliceOf(octets, former.length, octets.length);
  const edited = joinedSource([bufferSource(header), body]);
  const root = readEntity(header, undefined, undefined, 'root');
  const end = edited.length;
  const whole = { ...root, range: { ...root.range, end }, body: { ...root.body, end } };
  return { kind: 'in-source', octets: edited, header, root: whole };
}
