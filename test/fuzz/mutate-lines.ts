import type { MutationContext } from './mutate.ts';

/** Changes that keep to lines: headers, boundaries, commands. */

const ENDS = ['\r\n', '\n', '\r', '\r\n\r\n', ' \r\n', '\t\n', '\r\r\n', ''] as const;

export function mutateLines(octets: Buffer, { random, dictionary, other }: MutationContext): Buffer {
  const lines = linesOf(octets);
  const at = random.int(lines.length + 1);
  const line = lines[at] ?? Buffer.alloc(0);
  switch (random.int(12)) {
    case 0:
      lines.splice(at, 1);
      break;
    case 1:
      lines.splice(random.int(lines.length + 1), 0, line);
      break;
    case 2: {
      const two = random.int(lines.length);
      lines[at] = lines[two] ?? line;
      lines[two] = line;
      break;
    }
    case 3:
      lines[at] = Buffer.concat([content(line), Buffer.from(random.pick(ENDS))]);
      break;
    case 4: // fold
      lines[at] = inside(
        line,
        random.int(line.length + 1),
        random.pick(['\r\n ', '\r\n\t', '\n ', '\r\n  \r\n ']),
      );
      break;
    case 5: {
      const word = random.pick(dictionary) ?? Buffer.from(' ');
      lines[at] = inside(line, random.int(line.length + 1), word);
      break;
    }
    case 6: // a line out of a word
      lines.splice(at, 0, Buffer.concat([random.pick(dictionary) ?? Buffer.from('X:'), Buffer.from('\r\n')]));
      break;
    case 7: {
      const strange = linesOf(other);
      const from = random.int(strange.length);
      lines.splice(at, random.int(3), ...strange.slice(from, from + random.small(8)));
      break;
    }
    case 8: {
      const text = line.toString('latin1');
      lines[at] = Buffer.from(random.once(2) ? text.toUpperCase() : text.toLowerCase(), 'latin1');
      break;
    }
    case 9: // a boundary line of its own, with what some readers overlook
      lines.splice(at, 0, boundaryLine(octets, random.pick(['', '--', ' ', '\t', '-', 'x', '-- '])));
      break;
    case 10: // many times
      lines.splice(at, 0, ...Array.from({ length: random.small(40) }, () => line));
      break;
    default: {
      // a whole run of lines again, for nested parts
      const run = lines.slice(at, at + random.small(20));
      lines.splice(random.int(lines.length + 1), 0, ...run);
    }
  }
  return Buffer.concat(lines);
}

/** With their line ends. */
export function linesOf(octets: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let from = 0;
  for (let at = octets.indexOf(10); at !== -1; at = octets.indexOf(10, from)) {
    lines.push(octets.subarray(from, at + 1));
    from = at + 1;
  }
  if (from < octets.length) lines.push(octets.subarray(from));
  return lines;
}

function content(line: Buffer): Buffer {
  return line.subarray(0, line.length - (line.at(-1) === 10 ? (line.at(-2) === 13 ? 2 : 1) : 0));
}

function inside(line: Buffer, at: number, word: Uint8Array | string): Buffer {
  return Buffer.concat([line.subarray(0, at), Buffer.from(word as string), line.subarray(at)]);
}

function boundaryLine(octets: Buffer, tail: string): Buffer {
  const found = /boundary="?([^"\r\n;]{1,70})/i.exec(octets.toString('latin1', 0, 4096))?.[1] ?? 'b';
  return Buffer.from(`--${found}${tail}\r\n`, 'latin1');
}
