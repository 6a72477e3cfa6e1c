import { type CommandKind, PivCard } from './piv-card.ts';
import type { SlotCard } from './vpcd-slot.ts';

/** What is held back: commands that present a PIN, uses of a private key, or everything. */
export type Held = Exclude<CommandKind, 'other'> | 'everything';

/**
 * A card that can be told to think for as long as a test likes: as a card does that hangs, or as one that is being pulled
 * out in the middle of a signature.
 */
export class HeldCard implements SlotCard {
  readonly card: PivCard;
  #hold: { what: Held; reached: PromiseWithResolvers<void>; released: PromiseWithResolvers<void> } | null =
    null;

  constructor(card: PivCard) {
    this.card = card;
  }

  get answerToReset(): Buffer {
    return this.card.answerToReset;
  }

  /** From now on commands of this kind wait, before the card does them. */
  hold(what: Held): void {
    this.release();
    this.#hold = { what, reached: Promise.withResolvers(), released: Promise.withResolvers() };
  }

  /** Settles when a command waits. */
  async reached(): Promise<void> {
    await this.#hold?.reached.promise;
  }

  /** What waits is done now, unless the card was taken out or reset meanwhile. */
  release(): void {
    this.#hold?.released.resolve();
    this.#hold = null;
  }

  #power = 0;

  reset(): void {
    this.#power++;
    this.card.reset();
  }

  async transmit(command: Buffer): Promise<Buffer> {
    const hold = this.#hold;
    const power = this.#power;
    if (hold !== null && (hold.what === 'everything' || hold.what === PivCard.kindOf(command))) {
      hold.reached.resolve();
      await hold.released.promise;
      // Without power in between, nothing was done: no try is gone and nothing is signed.
      if (power !== this.#power) return Buffer.alloc(0);
    }
    return this.card.transmit(command);
  }
}
