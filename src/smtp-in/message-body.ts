import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import type { OctetSource, Spool, SpooledOctets, SpoolWriter } from '../octets/source.ts';
import { type LineFault, LineFaults } from '../smtp/line-faults.ts';

/** A message as it was received. `no-room`: the spool could not take it; `reason` is for the log. */
export type Received =
  | { kind: 'message'; octets: OctetSource; discard(): Promise<void> }
  | { kind: LineFault | 'too-large' }
  | { kind: 'no-room'; reason: string };

type Failed = Exclude<Received, { kind: 'message' }>;

const CRLF = Buffer.from('\r\n');

/**
 * A message that comes piece by piece and does not stay in memory, however long it is.
 *
 * Holds: what is wrong with it is found as it comes, and from then on nothing of it is kept.
 * Must never happen: a spool that stays behind; a message with a bare CR or LF.
 */
export class MessageBody {
  readonly #maxOctets: number;
  readonly #spool: Spool;
  readonly #faults = new LineFaults();
  #writer: SpoolWriter | null = null;
  #spooled: SpooledOctets | null = null;
  #failed: Failed | null = null;
  #length = 0;
  /** What the spool is busy with; never rejects. */
  #busy: Promise<void> = Promise.resolve();
  #discarded = false;

  /** @param maxOctets without transparency */
  constructor(spool: Spool, maxOctets: number) {
    this.#spool = spool;
    this.#maxOctets = maxOctets;
  }

  /** What is wrong with it; null: nothing so far. */
  get failed(): Failed | null {
    return this.#failed;
  }

  get length(): number {
    return this.#length;
  }

  /** Resolves when the next octets may come; never rejects. null: at once. The octets must not change before that. */
  add(octets: Buffer): Promise<void> | null {
    if (this.#failed !== null || this.#discarded || octets.length === 0) return null;
    const fault = this.#faults.update(octets);
    if (fault !== null) return this.refuse(fault);
    this.#length += octets.length;
    if (this.#length > this.#maxOctets) return this.refuse('too-large');
    return this.#write(octets);
  }

  /** It will not be taken, whatever comes. */
  refuse(kind: LineFault | 'too-large'): null {
    this.#fail({ kind });
    return null;
  }

  /** To be called once, at the end; a last line without CRLF gets one. Never rejects. */
  async finish(): Promise<Received> {
    const fault = this.#faults.finish();
    if (fault !== null) this.refuse(fault);
    if (this.#failed === null && !this.#faults.atLine) await this.#write(CRLF);
    await this.#busy;
    if (this.#failed !== null) return this.#failed;
    const discard = () => this.discard();
    if (this.#writer === null) return { kind: 'message', octets: bufferSource(Buffer.alloc(0)), discard };
    try {
      this.#spooled = await this.#writer.finish();
      this.#writer = null;
      const isShort = this.#spooled.length <= limits.smtp.memoryOctets;
      const octets = isShort ? bufferSource(await collectFrom(this.#spooled)) : this.#spooled;
      return { kind: 'message', octets, discard };
    } catch (error) {
      this.#writer = null;
      await this.#spooled?.discard();
      const failed: Failed = { kind: 'no-room', reason: reasonOf(error) };
      this.#failed = failed;
      return failed;
    }
  }

  /** May be called at any time, and again. */
  async discard(): Promise<void> {
    this.#discarded = true;
    this.#drop();
    await this.#busy;
    await this.#spooled?.discard();
  }

  #write(octets: Buffer): Promise<void> {
    this.#busy = this.#busy.then(async () => {
      if (this.#failed !== null || this.#discarded) return;
      try {
        this.#writer ??= this.#spool.begin();
        await this.#writer.write(octets);
      } catch (error) {
        this.#fail({ kind: 'no-room', reason: reasonOf(error) });
      }
    });
    return this.#busy;
  }

  #fail(failed: Failed): void {
    this.#failed ??= failed;
    this.#drop();
  }

  /** After what it is busy with: a spool is not thrown away while it is written. */
  #drop(): void {
    this.#busy = this.#busy.then(async () => {
      const writer = this.#writer;
      this.#writer = null;
      await writer?.discard().catch(() => undefined);
    });
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof SealgateError) return error.reason ?? error.code;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
