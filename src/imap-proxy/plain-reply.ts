import type { Pending } from './pending.ts';

const SP = 0x20;
const CR = 0x0d;
const LF = 0x0a;
const O = 0x4f;
const K = 0x4b;
const OPEN = 0x5b;
const BRACE_END = 0x7d;

/** What does not begin a tag, or begins another kind of response. */
const NO_TAG: ReadonlySet<number> = new Set([...'*+ \r\n'].map((each) => each.charCodeAt(0)));
/** A longer line is read elsewhere. */
const LINE_OCTETS = 1_000;

/**
 * The tagged response at `at` of a FETCH that is answered with it as it is: `OK`, without a response code and without an end that
 * could be taken for a literal. null: it is something else, or not whole.
 */
export function plainReply(
  octets: Buffer,
  at: number,
  commands: ReadonlyMap<string, Pending>,
): { pending: Pending; end: number } | null {
  if (at >= octets.length || NO_TAG.has(octets[at] ?? 0)) return null;
  const last = Math.min(octets.length, at + LINE_OCTETS);
  let tagEnd = -1;
  let i = at;
  for (; i < last; i++) {
    const octet = octets[i];
    if (octet === LF || octet === OPEN) break;
    if (octet === SP && tagEnd === -1) tagEnd = i;
  }
  if (tagEnd === -1 || octets[i] !== LF || octets[i - 1] !== CR || octets[i - 2] === BRACE_END) return null;
  if (octets[tagEnd + 1] !== O || octets[tagEnd + 2] !== K || octets[tagEnd + 3] !== SP) return null;
  const pending = commands.get(octets.toString('latin1', at, tagEnd));
  return pending?.isPlain === true ? { pending, end: i + 1 } : null;
}
