/** One response of a mail server (RFC 9051 §7), as far as a client looks at it that only stores messages. Texts are Latin-1. */
export type Response =
  | { kind: 'continue'; text: string }
  | { kind: 'status'; tag: string | null; status: Status; code: ResponseCode | null; text: string }
  /** `name` in capitals. */
  | { kind: 'data'; name: string; text: string };

export type Status = 'OK' | 'NO' | 'BAD' | 'PREAUTH' | 'BYE';

/** `[APPENDUID 38505 3955]`: its name in capitals, and what is behind it. */
export type ResponseCode = { name: string; text: string };

/**
 *     response      = continue-req / "*" SP ( resp-cond / data ) / tag SP resp-cond-state          ; RFC 9051 §9
 *     resp-text     = ["[" resp-text-code "]" SP] [text]
 *
 * @param line without its CRLF, literals left out
 * @returns null: it is none
 */
export function parseResponse(line: string): Response | null {
  if (line === '+' || line.startsWith('+ ')) return { kind: 'continue', text: line.slice(2) };
  const [, first = '', word = '', rest = ''] = /^(\*|[A-Z]\d{1,9}) ([^ ]+)(?: (.*))?$/s.exec(line) ?? [];
  if (first === '') return null;
  const name = word.toUpperCase();
  const tag = first === '*' ? null : first;
  const status = statusOf(name, tag);
  if (status !== null) return { kind: 'status', tag, status, ...respText(rest) };
  return tag === null ? { kind: 'data', name, text: rest } : null;
}

const UNTAGGED: readonly Status[] = ['OK', 'NO', 'BAD', 'PREAUTH', 'BYE'];

function statusOf(name: string, tag: string | null): Status | null {
  const status = UNTAGGED.find((one) => one === name);
  if (status === undefined) return null;
  return tag !== null && (status === 'PREAUTH' || status === 'BYE') ? null : status;
}

function respText(rest: string): { code: ResponseCode | null; text: string } {
  const [whole = '', name, text = ''] = /^\[([^\]\s]+)(?: ([^\]]*))?\] ?/.exec(rest) ?? [];
  if (name === undefined) return { code: null, text: rest };
  return { code: { name: name.toUpperCase(), text }, text: rest.slice(whole.length) };
}

/** RFC 9051 §7.2.2, in capitals; null: this response does not name them. */
export function capabilitiesIn(response: Response): ReadonlySet<string> | null {
  const named =
    response.kind === 'data'
      ? { name: response.name, text: response.text }
      : response.kind === 'status'
        ? response.code
        : null;
  if (named?.name !== 'CAPABILITY') return null;
  return new Set(named.text.toUpperCase().split(' ').filter(Boolean));
}

/** What a server says, for logs and people: printable, and not without end. */
export function said(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, '?').slice(0, 200);
}
