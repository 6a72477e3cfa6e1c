/** RDATA of records, as they come out of an answer. */

export function wireName(name: string): Buffer {
  const labels = name === '' ? [] : name.split('.');
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.alloc(1),
  ]);
}

export function mxRecord(preference: number, name: string): Buffer {
  return Buffer.concat([Buffer.from([preference >> 8, preference & 255]), wireName(name)]);
}

/** In strings of the given length. */
export function txtRecord(text: string, piece = 255): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < text.length; at += piece) {
    const part = Buffer.from(text.slice(at, at + piece), 'latin1');
    pieces.push(Buffer.from([part.length]), part);
  }
  return Buffer.concat(pieces);
}

export function tlsaRecord(usage: number, selector: number, matching: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([usage, selector, matching]), data]);
}
