import { FetchRelay, type RelayContext } from './fetch-relay.ts';
import type { LiteralSize } from './framer.ts';
import type { BegunResponse } from './plain-responses.ts';
import { readServerLine } from './server-line.ts';

const TAIL = Buffer.from(')\r\n');

/**
 * The rest of a FETCH response of which it is certain that its literal is passed on (PlainResponses): piece by piece as it comes, and
 * nobody looks at it. What comes behind the literal, where it is more than the end of the response, is FetchRelay's.
 *
 * Holds: the client gets, and the session learns, what FetchRelay alone would have had them get and learn.
 */
export class PassedMessage {
  readonly #context: RelayContext;
  readonly #begun: BegunResponse;
  /** A copy, which keeps no chunk. */
  readonly #line: Buffer;
  #relay: FetchRelay | null = null;

  /** `octets`: they begin with the response's first line. */
  constructor(context: RelayContext, begun: BegunResponse, octets: Buffer) {
    this.#context = context;
    this.#begun = begun;
    this.#line = Buffer.from(octets.subarray(0, begun.line));
  }

  literal(octets: Buffer, remaining: number): Promise<void> | null {
    return this.#relay === null ? this.#context.write(octets) : this.#relay.literal(octets, remaining);
  }

  line(octets: Buffer, at: number, literal: LiteralSize | null): Promise<void> | null {
    if (this.#relay === null && octets.equals(TAIL)) {
      const { uid, teaches } = this.#begun;
      if (teaches) this.#context.views.learn(uid, 'identity');
      return this.#context.write(octets);
    }
    this.#relay ??= this.#goOn();
    return this.#relay.line(octets, at, literal);
  }

  /** What a lost connection leaves behind. */
  abandon(): void {
    this.#relay?.abandon();
  }

  #goOn(): FetchRelay {
    const line = readServerLine(this.#line);
    const { msn, at } = line.kind === 'fetch' ? line : { msn: 0, at: 0 };
    return FetchRelay.behindLiteral(this.#context, msn, this.#line.subarray(at), this.#begun.size);
  }
}
