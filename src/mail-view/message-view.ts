import type { Entity } from '../mail/entity.ts';
import { readEntity } from '../mail/entity-tree.ts';

/** A message as a client sees it, and where its parts lie (RFC 9051 §6.4.5.1). Parsed once, when first asked. */
export class MessageView {
  readonly octets: Buffer;
  #root: Entity | null = null;

  constructor(octets: Buffer) {
    this.octets = octets;
  }

  get root(): Entity {
    this.#root ??= readEntity(this.octets);
    return this.#root;
  }

  /** `BODY[HEADER]`: the fields and the empty line. */
  header(): Buffer {
    return this.octets.subarray(0, this.root.body.start);
  }

  /** `BODY[TEXT]`: everything after the empty line, the epilogue included. */
  text(): Buffer {
    return this.octets.subarray(this.root.body.start);
  }

  /** The part with that number; null: there is none. */
  part(path: readonly number[]): ViewPart | null {
    let at: ViewPart = { entity: this.root, message: { range: this.root, octets: this.octets } };
    let messages = 0;
    for (const number of path) {
      const next = this.#child(at, number, messages);
      if (next === null) return null;
      if (next.message !== null) messages++;
      at = next;
    }
    return at;
  }

  #child(parent: ViewPart, number: number, messages: number): ViewPart | null {
    const container = parent.message?.range ?? parent.entity;
    const entity =
      container.parts.length > 0
        ? container.parts[number - 1]
        : // RFC 9051 §6.4.5.1: part 1 of a message that is no multipart is its text.
          parent.message !== null && number === 1
          ? container
          : undefined;
    if (entity === undefined) return null;
    return { entity, message: this.#enclosed(entity, messages) };
  }

  #enclosed(entity: Entity, messages: number): ViewPart['message'] {
    if (!isMessage(entity, messages)) return null;
    return { range: readEntity(this.octets, entity.body), octets: this.octets };
  }
}

export type ViewPart = {
  entity: Entity;
  /** The message inside a message/rfc822 part (for the root: the message itself); null otherwise. */
  message: { range: Entity; octets: Buffer } | null;
};

/** Messages inside messages that are looked into. Each level is read anew, and clients follow recursively. */
const MESSAGES_DEEP = 20;

/**
 * Whether the message in a part is looked into: not one that is encoded all the same (RFC 2046 §5.2.1), nor one below
 * too many others. `around`: messages it is inside of, the view itself not counted.
 */
export function isMessage(entity: Entity, around: number): boolean {
  const { type, subtype } = entity.mediaType;
  return (
    around < MESSAGES_DEEP &&
    type === 'message' &&
    subtype === 'rfc822' &&
    entity.transferEncoding !== 'base64' &&
    entity.transferEncoding !== 'quoted-printable'
  );
}
