import { limits } from '../../limits.ts';
import { protocolFault } from './protocol-fault.ts';

/**
 * How long the LDAPMessage is that `octets` begin with, header included; null: too little of it is there to say. RFC 4511 §5.1: definite
 * lengths only. Nothing is gathered that claims to be longer than a request may be.
 *
 * @throws SealgateError `publishing.ldap-protocol`
 */
export function messageLength(octets: Buffer): number | null {
  const [identifier, first] = octets;
  if (identifier !== undefined && identifier !== LDAP_MESSAGE)
    throw protocolFault('what came is no LDAP message');
  if (first === undefined) return null;
  const count = first < 0x80 ? 0 : first & 0x7f;
  if (first >= 0x80 && (count === 0 || count > LONGEST_LENGTH))
    throw protocolFault('a length that LDAP does not have');
  if (octets.length < 2 + count) return null;
  const length = 2 + count + (count === 0 ? first : octets.readUIntBE(2, count));
  if (length > limits.publishing.requestOctets) throw protocolFault('a request that is too long');
  return length;
}

/** SEQUENCE. */
const LDAP_MESSAGE = 0x30;
/** Octets of a length; some programs write zeros in front. */
const LONGEST_LENGTH = 4;
