import { fieldValue, withoutAtEnd } from './header.ts';
import { readMediaType } from './media-type.ts';

/**
 * A Content-Type field (with its line end) with these parameters; of those it had under these names none is left. The rest
 * stays as it is written, where nothing has to go. null: the field is in no grammar, so nobody would find them.
 */
export function withParameters(contentType: Buffer, parameters: ReadonlyMap<string, string>): Buffer | null {
  const text = contentType.toString('latin1');
  const colon = text.indexOf(':');
  // As the header reads it: a lone CR makes a multipart unreadable, and must not be gone from what is written.
  const read = readMediaType(fieldValue(text.slice(colon + 1)));
  if (read === null) return null;
  const added = [...parameters].map(written).join('');
  if (![...parameters.keys()].some((name) => read.parameters.has(name))) {
    return Buffer.from(`${withoutAtEnd(text, ' \t\r\n;')}${added}\r\n`, 'latin1');
  }
  const others = [...read.parameters].filter(([name]) => !parameters.has(name));
  if (others.some(([, each]) => /[^\t -~]/.test(each))) return null;
  return Buffer.from(
    `${text.slice(0, colon)}: ${read.type}/${read.subtype}${others.map(written).join('')}${added}\r\n`,
    'latin1',
  );
}

function written([name, value]: readonly [string, string]): string {
  return `;\r\n ${name}="${value.replace(/["\\]/g, '\\$&')}"`;
}
