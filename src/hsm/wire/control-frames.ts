import { limits } from '../../limits.ts';
import { FrameReader, frameHead } from './frames.ts';

/**
 * Control messages as octets: JSON in frames, in which octets stand as `{ "octets": base64 }`.
 *
 * Node's own channel between processes is not used: what arrives on it is decoded by Node itself, whose errors end the process that
 * reads. A vendor module that scribbles over it would end the gateway.
 */

const { controlOctets } = limits.keys;

/** One message, ready to be written. @throws RangeError longer than the other side takes */
export function controlFrame(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message, withOctets));
  return Buffer.concat([frameHead(body.length, controlOctets), body]);
}

/** Sees the value before Buffer's own toJSON has turned it into a list of numbers. */
function withOctets(this: unknown, name: string, value: unknown): unknown {
  const raw = (this as Record<string, unknown>)[name];
  if (!(raw instanceof Uint8Array)) return value;
  return { octets: Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('base64') };
}

function fromOctets(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('octets' in value)) return value;
  const { octets } = value;
  return typeof octets === 'string' && Object.keys(value).length === 1
    ? Buffer.from(octets, 'base64')
    : value;
}

/** Reads messages out of chunks. What is in a message is the caller's to check. */
export class ControlReader {
  readonly #frames = new FrameReader(controlOctets);

  /** null: not what the other side sends; nothing can be read after that. */
  push(chunk: Buffer): unknown[] | null {
    const frames = this.#frames.push(chunk);
    if (frames === null) return null;
    try {
      return frames.map((frame) => JSON.parse(frame.toString('utf8'), fromOctets) as unknown);
    } catch {
      // Whatever JSON.parse says of it: it is not a message.
      return null;
    }
  }
}
