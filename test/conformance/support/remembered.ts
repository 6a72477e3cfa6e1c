import type { Value } from './imap-response.ts';

/** Items that never change for a UID (RFC 9051 §2.3.1.1, §2.3.3, §2.3.4, §7.5.2); MODSEQ and FLAGS do. */
const CONSTANT = /^(?:BODY|BODYSTRUCTURE|ENVELOPE|INTERNALDATE|RFC822(?:\.[A-Z]+)?|BODY\[.*)$/;

/** What imaptest checks: whatever was once said of a UID is said again, by any session. */
export class Remembered {
  readonly #said = new Map<string, string>();
  readonly problems: string[] = [];
  compared = 0;

  see(uid: number, items: ReadonlyMap<string, Value>): void {
    for (const [label, value] of items) {
      if (!CONSTANT.test(label)) continue;
      const key = `${uid} ${label}`;
      const said = text(value);
      const before = this.#said.get(key);
      if (before === undefined) this.#said.set(key, said);
      else {
        this.compared++;
        if (before !== said) this.problems.push(`${key} changed${difference(before, said)}`);
      }
    }
    const size = items.get('RFC822.SIZE');
    const body = items.get('BODY[]');
    if (typeof size === 'string' && Buffer.isBuffer(body) && Number(size) !== body.length)
      this.problems.push(`${uid}: RFC822.SIZE ${size}, BODY[] ${body.length}`);
  }
}

function text(value: Value): string {
  if (Buffer.isBuffer(value)) return `"${value.toString('latin1')}"`;
  if (Array.isArray(value)) return `(${value.map(text).join(' ')})`;
  return value ?? 'NIL';
}

function difference(before: string, now: string): string {
  let at = 0;
  while (before[at] === now[at]) at++;
  const around = (said: string): string => JSON.stringify(said.slice(Math.max(0, at - 30), at + 50));
  return `: ${around(before)} is ${around(now)}`;
}
