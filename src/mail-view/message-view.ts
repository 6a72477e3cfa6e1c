import type { Entity, Range } from '../mail/entity.ts';
import { readEntityFrom } from '../mail/entity-source.ts';
import { collect } from '../octets/collect.ts';
import type { OctetSource, OctetStream } from '../octets/source.ts';

/**
 * A message as a client sees it, and where its parts lie (RFC 9051 §6.4.5.1). Parsed once, when first asked; its octets may lie
 * in a spool. It is there as long as somebody holds it.
 */
export class MessageView {
  readonly octets: OctetSource;
  readonly #discard: () => Promise<void>;
  #root: Promise<Entity> | null = null;
  #holders = 0;

  /** `discard` frees what the octets lie in, after the last holder has let go. */
  constructor(octets: OctetSource, discard: () => Promise<void> = async () => undefined) {
    this.octets = octets;
    this.#discard = discard;
  }

  get length(): number {
    return this.octets.length;
  }

  /** The octets stay until the returned function was called; it may be called again. */
  hold(): () => void {
    this.#holders++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#holders === 0) void this.#discard();
    };
  }

  /** @throws SealgateError `mail.…` for a header or tree beyond the limits, which no view has; the source's own */
  root(): Promise<Entity> {
    this.#root ??= readEntityFrom(this.octets);
    return this.#root;
  }

  read({ start, end }: Range): OctetStream {
    return this.octets.read(start, end);
  }

  /** `BODY[HEADER]`: the fields and the empty line. */
  async header(): Promise<Buffer> {
    return collect(this.octets.read(0, (await this.root()).body.start));
  }

  /** `BODY[TEXT]`: everything after the empty line, the epilogue included. */
  async text(): Promise<Range> {
    return { start: (await this.root()).body.start, end: this.length };
  }

  /** The part with that number; null: there is none. */
  async part(path: readonly number[]): Promise<ViewPart | null> {
    const root = await this.root();
    let at: ViewPart = { entity: root, message: root };
    let messages = 0;
    for (const number of path) {
      const next = await this.#child(at, number, messages);
      if (next === null) return null;
      if (next.message !== null) messages++;
      at = next;
    }
    return at;
  }

  async #child(parent: ViewPart, number: number, messages: number): Promise<ViewPart | null> {
    const container = parent.message ?? parent.entity;
    const entity =
      container.parts.length > 0
        ? container.parts[number - 1]
        : // RFC 9051 §6.4.5.1: part 1 of a message that is no multipart is its text.
          parent.message !== null && number === 1
          ? container
          : undefined;
    if (entity === undefined) return null;
    return { entity, message: isMessage(entity, messages) ? await this.messageIn(entity) : null };
  }

  /** The message in a message/rfc822 part; ranges count from the start of the view. */
  messageIn(entity: Entity): Promise<Entity> {
    return readEntityFrom(this.octets, entity.body);
  }
}

/** A part; `message`: the message inside a message/rfc822 part (for the root: the message itself), null otherwise. */
export type ViewPart = { entity: Entity; message: Entity | null };

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
