import { HeaderCleaner } from '../mail-view/forged-status.ts';
import type { MessageClass } from '../mail-view/message-class.ts';
import type { OctetStream, SpoolWriter } from '../octets/source.ts';
import type { ArrivingMessage } from './arriving-message.ts';
import { Stuffing, Unstuffing } from './byte-stuffing.ts';
import type { StatusLine } from './reply-scanner.ts';
import type { TransactionContext } from './transaction-context.ts';

/** Octets that are ours to byte-stuff: a view, or an original that was gathered (`asStored`: a status in it is not ours). */
export async function sendOctets(
  context: TransactionContext,
  status: StatusLine,
  octets: OctetStream,
  { asStored }: { asStored: boolean },
): Promise<void> {
  const stuffing = new Stuffing();
  const cleaner = asStored ? new HeaderCleaner(context.views.names) : null;
  context.begin(status);
  for await (const chunk of octets) await context.more(stuffing.update(cleaner?.clean(chunk) ?? chunk));
  context.finish(stuffing.finish());
}

/**
 * A message that is shown as it is stored, as it comes: what the server has byte-stuffed stays so. Begins with `begun`, what was
 * taken from it already. A dot before a field name changes nothing for the forged status: no name that matters begins with one.
 */
export async function relayMessage(
  context: TransactionContext,
  status: StatusLine,
  message: ArrivingMessage,
  begun: OctetStream | null = null,
): Promise<void> {
  const cleaner = cleanerFor(context);
  context.begin(status);
  if (begun !== null) {
    const stuffing = new Stuffing();
    for await (const chunk of begun) await context.more(stuffing.update(cleaner?.clean(chunk) ?? chunk));
  }
  for await (const piece of message.raw()) await context.more(cleaner?.clean(piece) ?? piece);
  context.finish();
}

/** The same, and what its signature teaches is learnt behind it. */
export async function relayObserved(
  context: TransactionContext,
  status: StatusLine,
  message: ArrivingMessage,
  messageClass: MessageClass,
): Promise<void> {
  const teaches = messageClass === 'clear-signed' || messageClass === 'certificates';
  if (!teaches || context.asStored) return relayMessage(context, status, message);
  const copy = new Copy(context.spool.begin());
  try {
    const cleaner = new HeaderCleaner(context.views.names);
    context.begin(status);
    for await (const piece of message.raw()) {
      await copy.add(piece);
      await context.more(cleaner.clean(piece));
    }
    context.finish();
    const whole = await copy.finish();
    if (whole !== null) context.observe(whole, () => whole.discard());
  } finally {
    await copy.discard();
  }
}

/** null: octet for octet. */
function cleanerFor({ asStored, views }: TransactionContext): HeaderCleaner | null {
  return asStored ? null : new HeaderCleaner(views.names);
}

/** Larger ones are not looked at. */
const OBSERVED_OCTETS = 1024 * 1024;

/** A copy in a spool; one that cannot be made is none, and nobody minds. */
class Copy {
  readonly #unstuffing = new Unstuffing();
  #writer: SpoolWriter | null;
  #octets = 0;

  constructor(writer: SpoolWriter) {
    this.#writer = writer;
  }

  async add(piece: Buffer): Promise<void> {
    const plain = this.#unstuffing.update(piece);
    this.#octets += plain.length;
    if (this.#octets > OBSERVED_OCTETS) return this.discard();
    await this.#try((writer) => writer.write(plain));
  }

  finish(): Promise<Awaited<ReturnType<SpoolWriter['finish']>> | null> {
    return this.#try((writer) => writer.finish());
  }

  async discard(): Promise<void> {
    const writer = this.#writer;
    this.#writer = null;
    await writer?.discard();
  }

  async #try<T>(work: (writer: SpoolWriter) => Promise<T>): Promise<T | null> {
    if (this.#writer === null) return null;
    try {
      return await work(this.#writer);
    } catch {
      // No room on the disk: the message goes on without it.
      await this.discard();
      return null;
    }
  }
}
