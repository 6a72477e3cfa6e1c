import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';

/** One textual encoding of RFC 7468: the label of its boundaries and the octets between them. */
export type PemObject = { label: string; der: Buffer };

// RFC 7468 §3: preeb = "-----BEGIN " [ label ] "-----", label = labelchar *( ["-" / SP] labelchar ). There is only one way
// to match a character, so that a line that nearly is a boundary takes no longer than one that is.
const BOUNDARY = /^-----(BEGIN|END) ((?:[!-,.-~](?:[- ]?[!-,.-~])*)?)-----$/;
const BASE64_LINE = /^[A-Za-z0-9+/]{1,76}={0,2}$/;
const LINE_OCTETS = 64;

function malformed(line: number, reason: string): SealgateError {
  return new SealgateError({
    code: 'pki.malformed',
    publicText: `The PEM text cannot be read at line ${line}: ${reason}.`,
    duration: 'permanent',
  });
}

/**
 * Every textual encoding in `text`, in order. Text before, between and after them is explanation and passed over, as
 * RFC 7468 §2 allows; within one, only base64 lines may stand (RFC 7468 §3 "stricttextualmsg", with any line length up
 * to 76). Encapsulated headers (`Proc-Type:` of old encrypted keys) are refused: they are not RFC 7468.
 *
 * @throws SealgateError `pki.malformed` with the line
 */
export function readPem(text: string): PemObject[] {
  if (text.length > limits.pki.bundleOctets) throw malformed(1, 'it is too long');
  const objects: PemObject[] = [];
  let label: string | null = null;
  let base64 = '';
  let number = 0;
  // A byte order mark, read as UTF-8 or octet by octet, stands before the text and is not part of it.
  for (const raw of text.replace(/^(?:\u{FEFF}|\u{EF}\u{BB}\u{BF})/u, '').split(/\r\n|\n|\r/)) {
    number++;
    const line = raw.trimEnd();
    const boundary = line.startsWith('-----') ? BOUNDARY.exec(line) : null;
    if (line.startsWith('-----') && boundary === null) throw malformed(number, 'a boundary line is damaged');
    if (boundary === null) {
      if (label === null) continue;
      if (!BASE64_LINE.test(line))
        throw malformed(number, 'only base64 may stand between the boundary lines');
      base64 += line;
      continue;
    }
    const [, side, name = ''] = boundary;
    if (side === 'BEGIN') {
      if (label !== null)
        throw malformed(number, 'the END line that belongs to the BEGIN line above is missing');
      if (objects.length >= limits.pki.bundleCertificates)
        throw malformed(number, 'it holds too many objects');
      label = name;
      base64 = '';
      continue;
    }
    if (label === null) throw malformed(number, 'an END line without its BEGIN line');
    if (label !== name) throw malformed(number, 'the END line names something else than the BEGIN line');
    objects.push({ label, der: decodeBase64(base64, number) });
    label = null;
  }
  if (label !== null) throw malformed(number, 'the last END line is missing');
  return objects;
}

/** RFC 7468 §2: 64 characters a line, LF, a line end after the last boundary. */
export function writePem(label: string, der: Buffer): string {
  const base64 = der.toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < base64.length; at += LINE_OCTETS) lines.push(base64.slice(at, at + LINE_OCTETS));
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/** Canonical base64 only: node's decoder would pass over padding in the middle and stray bits at the end. */
function decodeBase64(base64: string, line: number): Buffer {
  const octets = Buffer.from(base64, 'base64');
  if (octets.length === 0 || octets.toString('base64') !== base64) {
    throw malformed(line, 'the base64 before it is damaged');
  }
  return octets;
}
