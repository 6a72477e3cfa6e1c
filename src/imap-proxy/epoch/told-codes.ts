/**
 * Where a mail server says a UIDVALIDITY, and that number with another one in its place: response codes (RFC 9051 §7.1, RFC 4315 §3,
 * RFC 8508 §3.4) and STATUS (RFC 9051 §7.3.4, RFC 5819). No other response of the capabilities that clients are shown has one.
 */

export type SaidUidValidity = {
  uidValidity: number;
  /** Offsets of its digits. */
  from: number;
  to: number;
};

/** In a status response, tagged or not. */
export type SaidInCode = SaidUidValidity & {
  code: 'UIDVALIDITY' | 'COPYUID' | 'APPENDUID';
  /** Offsets of the code with its brackets and the blank behind it. */
  codeFrom: number;
  codeTo: number;
};

/** null: none of them is in it. */
export function saidInCode(line: Buffer): SaidInCode | null {
  // Nearly all lines have none.
  if (line.indexOf('[') === -1) return null;
  const text = line.toString('latin1');
  const found =
    /^([^ ]+ [A-Za-z]+ )\[((UIDVALIDITY|COPYUID|APPENDUID) +)([0-9]{1,10})(?: [^\]\r\n]*)?\] ?/i.exec(text);
  if (found === null) return null;
  const [whole, before = '', name = '', code = '', digits = ''] = found;
  const from = before.length + 1 + name.length;
  return {
    code: code.toUpperCase() as SaidInCode['code'],
    ...{ uidValidity: Number(digits), from, to: from + digits.length },
    ...{ codeFrom: before.length, codeTo: whole.length },
  };
}

/** Whether a line that `saidInCode` does not read has such a code all the same, in no grammar. */
export function mayHaveCode(line: Buffer): boolean {
  return /^[^ ]+ [A-Za-z]+ \[\s*(?:UIDVALIDITY|COPYUID|APPENDUID)\b/i.test(line.toString('latin1', 0, 400));
}

export type SaidInStatus = SaidUidValidity & {
  /** Octets of the mailbox's name, without quotes. */
  mailbox: Buffer;
};

/**
 * In an untagged STATUS response, whole, literals included. null: it says none. `unreadable`: it is in no grammar, and whether it says
 * one, or of which mailbox, nobody can tell.
 */
export function saidInStatus(response: Buffer): SaidInStatus | 'unreadable' | null {
  const text = response.toString('latin1');
  const literal = /^\* STATUS \{([0-9]{1,5})\}\r\n/i.exec(text);
  const nameEnd = literal === null ? null : literal[0].length + Number(literal[1]);
  const named =
    nameEnd === null
      ? /^\* STATUS (?:"((?:[^"\\\r\n]|\\["\\])*)"|([^\x00-\x20(){%*"\\\x7f]+))/i.exec(text)
      : null;
  const at = nameEnd ?? named?.[0].length ?? 0;
  const items = /^ \((.*)\) ?\r\n$/.exec(text.slice(at))?.[1] ?? null;
  if (at === 0 || items === null) return 'unreadable';
  if (!/UIDVALIDITY/i.test(items)) return null;
  const said = /(?:^| )UIDVALIDITY ([0-9]{1,10})(?= |$)/i.exec(items);
  if (said === null || /UIDVALIDITY.*UIDVALIDITY/i.test(items)) return 'unreadable';
  const [whole, digits = ''] = said;
  const to = at + ' ('.length + said.index + whole.length;
  const quoted = named?.[1]?.replace(/\\(["\\])/g, '$1');
  const mailbox =
    literal === null
      ? Buffer.from(quoted ?? named?.[2] ?? '', 'latin1')
      : response.subarray(literal[0].length, at);
  return { uidValidity: Number(digits), from: to - digits.length, to, mailbox };
}

export function withUidValidity(response: Buffer, { from, to }: SaidUidValidity, told: number): Buffer {
  return Buffer.concat([response.subarray(0, from), Buffer.from(String(told)), response.subarray(to)]);
}

/** Without the response code: what it says is optional (RFC 4315 §3), and must not be wrong. */
export function withoutCode(line: Buffer, { codeFrom, codeTo }: SaidInCode): Buffer {
  const rest = line.subarray(codeTo);
  // RFC 9051 §9: resp-text is not empty.
  const text = rest.length > 2 ? rest : Buffer.from('Done\r\n');
  return Buffer.concat([line.subarray(0, codeFrom), text]);
}
