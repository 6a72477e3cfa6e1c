import type { KeyObject } from 'node:crypto';
import * as der from '../asn1/writer.ts';
import { SealgateError } from '../errors.ts';
import { oidSmtpUtf8Mailbox } from './general-name.ts';
import { oidEmailProtection } from './key-purpose.ts';
import { parseMailbox } from './mailbox.ts';

/** Whom a certificate is asked for, and what for. */
export type RequestedSubject = {
  commonName: string;
  organization?: string;
  organizationalUnit?: string;
  /** Two letters. */
  country?: string;
  /** One at least: rfc822Name, or SmtpUTF8Mailbox (RFC 9598) where the local part is not ASCII. */
  addresses: readonly string[];
  /** Which bits of keyUsage; of them, those that the kind of key has. */
  use: 'sign-and-decrypt' | 'sign' | 'decrypt';
};

/** RFC 5280 §A.1: ub-common-name, ub-organization-name, ub-organizational-unit-name. Characters. */
const LONGEST_ATTRIBUTE = 64;
const MOST_ADDRESSES = 50;

/** Name, the widest first. @throws SealgateError `pki.request-unusable` */
export function subjectName(subject: RequestedSubject): Buffer {
  const { country, organization, organizationalUnit, commonName } = subject;
  const attributes: Buffer[] = [];
  if (country !== undefined) {
    if (!/^[A-Z]{2}$/.test(country)) throw unusable('the country is not two capital letters');
    attributes.push(attribute('2.5.4.6', der.printableString(country)));
  }
  if (organization !== undefined) attributes.push(textAttribute('2.5.4.10', organization));
  if (organizationalUnit !== undefined) attributes.push(textAttribute('2.5.4.11', organizationalUnit));
  attributes.push(textAttribute('2.5.4.3', commonName));
  return der.sequence(...attributes);
}

/** keyUsage, extKeyUsage and subjectAltName. @throws SealgateError `pki.request-unusable` */
export function requestedExtensions(subject: RequestedSubject, publicKey: KeyObject): readonly Buffer[] {
  return [
    extension('2.5.29.15', 'critical', der.namedBits(keyUsageBits(subject.use, publicKey))),
    extension('2.5.29.37', 'not-critical', der.sequence(der.oid(oidEmailProtection))),
    extension('2.5.29.17', 'not-critical', der.sequence(...mailboxNames(subject.addresses))),
  ];
}

/** Of an end entity: `cA` is false, and so left out. */
export function basicConstraints(): Buffer {
  return extension('2.5.29.19', 'critical', der.sequence());
}

export function subjectKeyIdentifier(identifier: Buffer): Buffer {
  return extension('2.5.29.14', 'not-critical', der.octetString(identifier));
}

function extension(oid: string, critical: 'critical' | 'not-critical', value: Buffer): Buffer {
  const mark = critical === 'critical' ? [der.boolean(true)] : [];
  return der.sequence(der.oid(oid), ...mark, der.octetString(value));
}

/** RFC 5280 §4.2.1.3. */
const DIGITAL_SIGNATURE = 0;
const KEY_ENCIPHERMENT = 2;
const KEY_AGREEMENT = 4;

function keyUsageBits(use: RequestedSubject['use'], { asymmetricKeyType }: KeyObject): number[] {
  const opening =
    asymmetricKeyType === 'rsa' ? KEY_ENCIPHERMENT : asymmetricKeyType === 'ec' ? KEY_AGREEMENT : null;
  const bits: number[] = [];
  if (use !== 'decrypt') bits.push(DIGITAL_SIGNATURE);
  if (use !== 'sign' && opening !== null) bits.push(opening);
  if (bits.length === 0) throw unusable('a key of this kind decrypts nothing');
  return bits;
}

function mailboxNames(addresses: readonly string[]): Buffer[] {
  if (addresses.length === 0) throw unusable('no mail address is given');
  if (addresses.length > MOST_ADDRESSES) throw unusable(`there are more than ${MOST_ADDRESSES} addresses`);
  return [...new Set(addresses.map(mailboxText))].map((text) => {
    if (/^[\0-\x7f]*$/.test(text)) return der.implicitPrimitive(1, Buffer.from(text, 'ascii'));
    const value = der.explicit(0, der.utf8String(text));
    return der.implicitConstructed(0, der.oid(oidSmtpUtf8Mailbox), value);
  });
}

/** RFC 5280 §7.5, RFC 9598 §3: the domain in A-labels, in either form of name. */
function mailboxText(address: string): string {
  const mailbox = parseMailbox(address);
  if (mailbox === null) throw unusable('an address is not one mail address of the form name@domain');
  return `${mailbox.localPart}@${mailbox.domain}`;
}

function textAttribute(type: string, text: string): Buffer {
  // No control characters and no marks of direction: a name is shown to people who decide by it.
  const unfit = /[\p{Cc}\p{Cf}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]/u.test(text);
  if (text.trim() !== text || text === '' || [...text].length > LONGEST_ATTRIBUTE || unfit) {
    throw unusable(
      `a part of the name is empty, longer than ${LONGEST_ATTRIBUTE} characters, or not plain text`,
    );
  }
  return attribute(type, der.utf8String(text));
}

function attribute(type: string, value: Buffer): Buffer {
  return der.setOf([der.sequence(der.oid(type), value)]);
}

function unusable(why: string): SealgateError {
  return new SealgateError({
    code: 'pki.request-unusable',
    publicText: `No certificate can be asked for like this: ${why}; correct it.`,
    duration: 'permanent',
  });
}
