import type { MailId } from '../ids.ts';
import { KEY_OCTETS } from './sealed-batch.ts';

/** Batches of which the key is kept, and how long: for mails that came with the one that was opened. */
const KEPT = 64;
const KEPT_MS = 60_000;

/** Keys of batches: one use of the gateway's private key for mails that came together, where they leave together. */
export class BatchKeys {
  readonly #open: (wrapped: Buffer, usedFor?: MailId) => Promise<Buffer | null>;
  readonly #known = new Map<string, { key: Promise<Buffer | null>; since: number }>();

  constructor(open: (wrapped: Buffer, usedFor?: MailId) => Promise<Buffer | null>) {
    this.#open = open;
  }

  /** @returns null: damaged. @throws SealgateError `key.unavailable` (temporary) */
  open(wrapped: Buffer, usedFor?: MailId): Promise<Buffer | null> {
    const now = performance.now();
    for (const [id, { since }] of this.#known) {
      if (this.#known.size < KEPT && now - since < KEPT_MS) break;
      this.#known.delete(id);
    }
    const id = wrapped.toString('base64');
    const known = this.#known.get(id);
    if (known !== undefined) return known.key;
    const key = this.#open(Buffer.from(wrapped), usedFor).then((octets) =>
      octets?.length === KEY_OCTETS ? octets : null,
    );
    this.#known.set(id, { key, since: now });
    // What cannot be opened now may be opened the next time.
    key.then(
      (octets) => octets === null && this.#known.delete(id),
      () => this.#known.delete(id),
    );
    return key;
  }
}
