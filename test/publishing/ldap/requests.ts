import {
  element,
  enumerated,
  implicitConstructed,
  implicitPrimitive,
  integer,
  octetString,
  sequence,
} from '../../../src/asn1/writer.ts';

/** Requests of an LDAP client, as octets; test/publishing/ldap holds what they are made of against what real clients send. */

export const text = (value: string) => octetString(Buffer.from(value, 'utf8'));
const context = (tag: number, value: string) => implicitPrimitive(tag, Buffer.from(value, 'utf8'));

export const filters = {
  and: (...parts: Buffer[]) => implicitConstructed(0, ...parts),
  or: (...parts: Buffer[]) => implicitConstructed(1, ...parts),
  not: (part: Buffer) => implicitConstructed(2, part),
  equal: (attribute: string, value: string) => implicitConstructed(3, text(attribute), text(value)),
  /** `al*ex*r`: an empty piece is none. */
  like: (attribute: string, pattern: string) => {
    const pieces = pattern.split('*');
    return implicitConstructed(
      4,
      text(attribute),
      sequence(
        ...pieces.flatMap((piece, i) =>
          piece === '' ? [] : [context(i === 0 ? 0 : i === pieces.length - 1 ? 2 : 1, piece)],
        ),
      ),
    );
  },
  atLeast: (attribute: string, value: string) => implicitConstructed(5, text(attribute), text(value)),
  present: (attribute: string) => context(7, attribute),
  approx: (attribute: string, value: string) => implicitConstructed(8, text(attribute), text(value)),
  extensible: (rule: string, value: string) => implicitConstructed(9, context(1, rule), context(3, value)),
};

const application = (tag: number, ...parts: Buffer[]) => element(0x60 | tag, ...parts);

export type SearchParts = {
  base?: string;
  scope?: number;
  sizeLimit?: number;
  typesOnly?: boolean;
  filter?: Buffer;
  attributes?: string[];
};

export function search({
  base = 'dc=example,dc=org',
  scope = 2,
  sizeLimit = 0,
  typesOnly = false,
  filter = filters.present('objectClass'),
  attributes = [],
}: SearchParts): Buffer {
  return application(
    3,
    ...[text(base), enumerated(scope), enumerated(0), integer(sizeLimit), integer(0)],
    Buffer.from([1, 1, typesOnly ? 0xff : 0]),
    ...[filter, sequence(...attributes.map(text))],
  );
}

export const bind = (version = 3, name = '', password = '') =>
  application(0, integer(version), text(name), context(0, password));
export const saslBind = (mechanism: string) =>
  application(0, integer(3), text(''), implicitConstructed(3, text(mechanism)));
export const extended = (name: string) => application(23, context(0, name));
export const START_TLS = '1.3.6.1.4.1.1466.20037';
export const unbind = Buffer.from([0x42, 0]);
export const del = element(0x4a, Buffer.from('mail=alice@example.org,dc=example,dc=org'));

export function control(type: string, critical: boolean): Buffer {
  return sequence(text(type), ...(critical ? [Buffer.from([1, 1, 0xff])] : []));
}

export function message(id: number, operation: Buffer, ...controls: Buffer[]): Buffer {
  return sequence(
    integer(id),
    operation,
    ...(controls.length === 0 ? [] : [implicitConstructed(0, ...controls)]),
  );
}
