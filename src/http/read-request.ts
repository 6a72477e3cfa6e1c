import type { IncomingMessage } from 'node:http';
import { limits } from '../limits.ts';
import { plainAnswer } from './answers.ts';
import type { Fields, HttpAnswer } from './message.ts';
import { readFields, readTarget, type Target } from './target.ts';

/** The head of a request that is in order, or what is said to it instead. */
export type ReadHead =
  | { kind: 'request'; method: 'GET' | 'HEAD' | 'POST'; target: Target }
  | { kind: 'refused'; answer: HttpAnswer };

export type ReadForm = { kind: 'form'; form: Fields } | { kind: 'refused'; answer: HttpAnswer };

const UNCLEAR = plainAnswer(400, 'This request is not understood.');

/** Octets that two readers could take for different requests (RFC 9112 §11.2) are refused, whoever wrote them. */
export function readHead({ method, url = '', headers, rawHeaders, httpVersion }: IncomingMessage): ReadHead {
  if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') {
    return refused(
      plainAnswer(405, 'Only GET, HEAD and POST are understood here.', { allow: 'GET, HEAD, POST' }),
    );
  }
  // Node counts what is in fields, and not how many there are.
  if (rawHeaders.length > 2 * limits.http.headerFields) {
    return refused(plainAnswer(431, 'This request has too many fields.'));
  }
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  // RFC 9112 §3.2: exactly one; HTTP/1.0 knew none.
  if (hosts > 1 || (hosts === 0 && httpVersion !== '1.0')) return refused(UNCLEAR);
  const target = readTarget(url);
  if (target === null) return refused(UNCLEAR);
  if (headers['transfer-encoding'] !== undefined) {
    return refused(plainAnswer(411, 'The length of a form has to be said beforehand.'));
  }
  if (method !== 'POST' && !/^0*$/.test(headers['content-length'] ?? '')) return refused(UNCLEAR);
  return { kind: 'request', method, target };
}

/**
 * A browser says where a form was sent from (Fetch Metadata); what other sites send in somebody's name is not taken. Nothing here
 * rests on that alone: whoever posts has to know the token.
 */
export function comesFromElsewhere({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

/** The body of a POST. The caller bounds the time. */
export async function readForm(request: IncomingMessage): Promise<ReadForm> {
  const { headers } = request;
  const length = headers['content-length'];
  if (length === undefined || !/^\d{1,15}$/.test(length)) {
    return refused(plainAnswer(411, 'The length of a form has to be said beforehand.'));
  }
  if (Number(length) > limits.http.formOctets) return refused(plainAnswer(413, 'This form is too long.'));
  if (
    !/^application\/x-www-form-urlencoded *(; *charset="?utf-8"?)? *$/i.test(headers['content-type'] ?? '')
  ) {
    return refused(
      plainAnswer(415, 'Only forms are understood here (application/x-www-form-urlencoded, UTF-8).'),
    );
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const octets = Buffer.concat(chunks);
  // Printable ASCII alone is what a form is written in; everything else is behind percent signs.
  const form = octets.every((octet) => octet > 0x20 && octet < 0x7f)
    ? readFields(octets.toString('latin1'))
    : null;
  return form === null ? refused(UNCLEAR) : { kind: 'form', form };
}

function refused(answer: HttpAnswer): { kind: 'refused'; answer: HttpAnswer } {
  return { kind: 'refused', answer };
}
