/**
 * What a client has received, cut into responses by the grammar alone (RFC 9051 §9), independently of the gateway's own framer.
 * `rest`: a response that has no end.
 */
export type Received = { responses: string[]; rest: string };

export function readResponses(text: string): Received {
  const responses: string[] = [];
  let at = 0;
  for (;;) {
    const end = endOfResponse(text, at);
    if (end === -1) return { responses, rest: text.slice(at) };
    responses.push(text.slice(at, end));
    at = end;
  }
}

function endOfResponse(text: string, start: number): number {
  const mayHaveLiteral = /^\* (?!OK|NO|BAD|BYE)/.test(text.slice(start, start + 8));
  for (let at = start; ; ) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return -1;
    const literal = mayHaveLiteral ? /\{([0-9]+)\}$/.exec(text.slice(at, lineEnd)) : null;
    if (literal === null) return lineEnd + 2;
    at = lineEnd + 2 + Number(literal[1]);
    if (at > text.length) return -1;
  }
}
