import { mutateLines } from './mutate-lines.ts';
import { mutateTlv } from './mutate-tlv.ts';
import { mutateWrapped } from './mutate-wrapped.ts';
import type { Random } from './random.ts';

/** Makes another input out of one, by chance. Nothing here knows what the input means; its siblings do. */

/** What the inputs are: that decides which mutators besides those of octets take part. */
export type InputForm = 'octets' | 'tlv' | 'lines' | 'mail';

export type MutationContext = {
  random: Random;
  form: InputForm;
  /** Words of the grammar. */
  dictionary: readonly Buffer[];
  /** Another input, to take pieces from. */
  other: Buffer;
  maxOctets: number;
};

export function mutate(input: Buffer, context: MutationContext): Buffer {
  const { random, maxOctets } = context;
  let octets = input;
  for (let left = random.small(6); left > 0; left--) octets = mutateOnce(octets, context);
  // Time that grows faster than the input shows only where the input is long.
  if (random.once(80)) octets = pump(octets, context);
  return octets.length > maxOctets ? octets.subarray(0, maxOctets) : octets;
}

function mutateOnce(octets: Buffer, context: MutationContext): Buffer {
  const { random, form } = context;
  if (form === 'tlv' && !random.once(3)) return mutateTlv(octets, context);
  if (form === 'lines' && !random.once(3)) return mutateLines(octets, context);
  if (form === 'mail' && !random.once(4)) {
    return random.once(3) ? mutateWrapped(octets, context) : mutateLines(octets, context);
  }
  return mutateOctets(octets, context);
}

const INTERESTING = [
  0, 1, 0x20, 0x7f, 0x80, 0xff, 0x0a, 0x0d, 0x22, 0x5c, 0x28, 0x3d, 0x30, 0x31, 0xa0,
] as const;

/** One change of octets. */
export function mutateOctets(octets: Buffer, context: MutationContext): Buffer {
  const { random, dictionary, other } = context;
  const at = random.int(octets.length + 1);
  switch (random.int(11)) {
    case 0:
      return changed(octets, at, (octet) => octet ^ (1 << random.int(8)));
    case 1:
      return changed(octets, at, () => random.pick(INTERESTING));
    case 2:
      return changed(octets, at, () => random.int(256));
    case 3:
      return changed(octets, at, (octet) => octet + random.int(9) - 4);
    case 4: // cut off
      return octets.subarray(0, at);
    case 5: // remove
      return splice(octets, at, random.small(64), Buffer.alloc(0));
    case 6: // insert chance
      return splice(octets, at, 0, random.octets(random.small(16)));
    case 7: {
      // say a piece again
      const piece = octets.subarray(at, at + 1 + random.int(random.once(4) ? 512 : 16));
      return splice(octets, random.int(octets.length + 1), 0, piece);
    }
    case 8: {
      const word = random.pick(dictionary);
      return splice(octets, at, random.once(2) ? 0 : (word?.length ?? 0), word ?? random.octets(2));
    }
    case 9: {
      // a piece of another input
      const from = random.int(other.length);
      const piece = other.subarray(from, from + 1 + random.int(64));
      return splice(octets, at, random.once(2) ? piece.length : 0, piece);
    }
    default:
      // the head of this and the tail of another
      return Buffer.concat([octets.subarray(0, at), other.subarray(random.int(other.length + 1))]);
  }
}

/** A piece, a word or a single octet so many times that the input becomes as long as it may be. */
export function pump(octets: Buffer, { random, dictionary, maxOctets }: MutationContext): Buffer {
  const at = random.once(3) ? insideQuotes(octets, random) : random.int(octets.length + 1);
  const own = octets.subarray(at, at + random.small(24));
  const word = random.once(3) ? (random.pick(dictionary) ?? own) : own;
  const piece = random.once(3)
    ? Buffer.from([random.pick([0x20, 0x20, 0x09, 0x28, 0x5c, 0x3d, 0x2d, 0x3b, 0x30])])
    : word;
  if (piece.length === 0) return octets;
  const room = Math.max(0, maxOctets - octets.length);
  const length = random.once(4) ? random.int(room) : room;
  return splice(octets, at, 0, Buffer.alloc(length - (length % piece.length), piece));
}

/** Behind a quotation mark or a colon, where the values of parameters and fields begin. */
function insideQuotes(octets: Buffer, random: Random): number {
  const from = random.int(octets.length + 1);
  const found = [octets.indexOf(0x22, from), octets.indexOf(0x3a, from)].filter((at) => at !== -1);
  return found.length === 0 ? from : (random.pick(found) ?? from) + 1 + random.int(3);
}

function changed(octets: Buffer, at: number, change: (octet: number) => number): Buffer {
  if (octets.length === 0) return Buffer.from([change(0) & 0xff]);
  const copy = Buffer.from(octets);
  const place = at % copy.length;
  copy[place] = change(copy[place] ?? 0) & 0xff;
  return copy;
}

/** `octets` with `remove` of them at `at` replaced. */
export function splice(octets: Buffer, at: number, remove: number, piece: Uint8Array): Buffer {
  return Buffer.concat([octets.subarray(0, at), piece, octets.subarray(at + remove)]);
}
