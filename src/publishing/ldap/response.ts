import { universal } from '../../asn1/element.ts';
import { element, enumerated, implicitPrimitive, integer, octetString, sequence } from '../../asn1/writer.ts';

/** What the server says (RFC 4511 §4.1.9, §4.5.2, §4.12), in DER. */

export const resultCode = {
  success: 0,
  operationsError: 1,
  protocolError: 2,
  sizeLimitExceeded: 4,
  authMethodNotSupported: 7,
  adminLimitExceeded: 11,
  unavailableCriticalExtension: 12,
  confidentialityRequired: 13,
  noSuchObject: 32,
  invalidDNSyntax: 34,
  invalidCredentials: 49,
  busy: 51,
  unavailable: 52,
  unwillingToPerform: 53,
} as const;

export type ResultCode = keyof typeof resultCode;

/** `text`: for people, in the client's log. */
export type Result = { code: ResultCode; text: string };

export const SUCCESS: Result = { code: 'success', text: '' };

/** APPLICATION tags of answers. */
export const responseTag = { bind: 1, searchEntry: 4, searchDone: 5, extended: 24 } as const;

/** An entry as it is sent: values as octets. */
export type SentEntry = { dn: string; attributes: readonly { type: string; values: readonly Buffer[] }[] };

export function result(messageId: number, tag: number, { code, text }: Result): Buffer {
  return message(messageId, tag, ldapResult(code, text));
}

export function extendedResult(
  messageId: number,
  { code, text }: Result,
  more: { name?: string; value?: Buffer } = {},
): Buffer {
  return message(messageId, responseTag.extended, [
    ...ldapResult(code, text),
    ...(more.name === undefined ? [] : [implicitPrimitive(10, Buffer.from(more.name, 'latin1'))]),
    ...(more.value === undefined ? [] : [implicitPrimitive(11, more.value)]),
  ]);
}

/** Notice of Disconnection (RFC 4511 §4.4.1). */
export function disconnection(said: Result): Buffer {
  return extendedResult(0, said, { name: '1.3.6.1.4.1.1466.20036' });
}

export function searchEntry(messageId: number, { dn, attributes }: SentEntry): Buffer {
  return message(messageId, responseTag.searchEntry, [
    octets(dn),
    sequence(
      ...attributes.map(({ type, values }) =>
        sequence(octets(type), element(CONSTRUCTED | universal.set, ...values.map(octets))),
      ),
    ),
  ]);
}

function message(messageId: number, tag: number, parts: readonly Buffer[]): Buffer {
  return sequence(integer(messageId), element(APPLICATION | CONSTRUCTED | tag, ...parts));
}

/** matchedDN says nothing here: what there is of names is no secret, and who has one is not told. */
function ldapResult(code: ResultCode, text: string): Buffer[] {
  return [enumerated(resultCode[code]), octets(''), octets(text)];
}

function octets(value: string | Buffer): Buffer {
  return octetString(typeof value === 'string' ? Buffer.from(value, 'utf8') : value);
}

const APPLICATION = 0x40;
const CONSTRUCTED = 0x20;
