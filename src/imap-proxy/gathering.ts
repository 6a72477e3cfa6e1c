import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Spool, SpooledOctets, SpoolWriter } from '../octets/source.ts';
import type { Openings, Place } from '../reading/openings.ts';
import type { Withheld } from '../reading/withheld.ts';

/** Where the octets of messages that are opened wait, and how many messages at a time. */
export type GatheringPlaces = {
  spool: Spool;
  openings: Openings;
  login: string;
  ended: AbortSignal;
  /** Called when somebody begins to wait for a place; what it returns, when it is there. Absent: nobody is told. */
  tellOfWaiting?(): () => void;
};

/** An original that is there whole. `discard` gives its room and its place back; may be called again. */
export type Original = { octets: SpooledOctets; place: Place; discard(): Promise<void> };

/**
 * A stored message on its way into a spool, where it may be as long as it likes. Never rejects: what cannot be kept is dropped,
 * and its message is left out for a reason.
 */
export class Gathering {
  readonly #writer: SpoolWriter | null;
  readonly #place: Place | null;
  #withheld: Withheld | null;

  private constructor(writer: SpoolWriter | null, place: Place | null, withheld: Withheld | null) {
    this.#writer = writer;
    this.#place = place;
    this.#withheld = withheld;
  }

  /** `size`: octets that are announced. Resolves when there is a place. */
  static async begin(places: GatheringPlaces, size: number): Promise<Gathering> {
    const { spool, openings, login, ended } = places;
    if (size > limits.messageOctets) {
      const text = 'A message is too large to be opened by the gateway.';
      return new Gathering(null, null, { code: 'LIMIT', text });
    }
    const stopTelling = places.tellOfWaiting?.();
    const place = await openings.enter(login, ended);
    stopTelling?.();
    return new Gathering(place === null ? null : spool.begin(), place, place === null ? ENDED : null);
  }

  /** Resolves when the next octets may come. */
  async write(octets: Buffer): Promise<void> {
    if (this.#withheld !== null) return;
    try {
      await this.#writer?.write(octets);
    } catch (error) {
      await this.#fail(error);
    }
  }

  /** What was gathered, or why it cannot be had. */
  async finish(): Promise<Original | Withheld> {
    const { place, octets } = { place: this.#place, octets: await this.#finished() };
    if (octets === null || place === null) return this.#withheld ?? ENDED;
    return {
      octets,
      place,
      async discard() {
        place.leave();
        await octets.discard();
      },
    };
  }

  /** Its message is of no interest any longer; nothing happens after `finish`. */
  async abandon(): Promise<void> {
    this.#withheld ??= ENDED;
    this.#place?.leave();
    await this.#writer?.discard();
  }

  async #finished(): Promise<SpooledOctets | null> {
    if (this.#withheld !== null) return null;
    try {
      return (await this.#writer?.finish()) ?? null;
    } catch (error) {
      await this.#fail(error);
      return null;
    }
  }

  async #fail(error: unknown): Promise<void> {
    await this.abandon();
    if (!(error instanceof SealgateError)) throw error;
    this.#withheld = { code: 'LIMIT', text: error.publicText };
  }
}

const ENDED: Withheld = { code: 'UNAVAILABLE', text: 'The session has ended.' };

export function isOriginal(gathered: Original | Withheld): gathered is Original {
  return 'octets' in gathered;
}
