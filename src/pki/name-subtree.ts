import { unreachable } from '../errors.ts';
import type { GeneralName } from './general-name.ts';
import { canonicalDomain, parseMailbox } from './mailbox.ts';
import { isWithin } from './name.ts';

/** `other-form`: the constraint says nothing about this name. `unreadable`: nobody can tell, so nothing is allowed. */
export type SubtreeRelation = 'within' | 'outside' | 'other-form' | 'unreadable';

/** Where `name` stands to the subtree of `base` (RFC 5280 §4.2.1.10). */
export function isWithinSubtree(name: GeneralName, base: GeneralName): SubtreeRelation {
  switch (base.kind) {
    case 'rfc822Name':
      // RFC 9598 §6: rfc822Name constraints hold for SmtpUTF8Mailbox too.
      if (name.kind !== 'rfc822Name' && name.kind !== 'smtpUtf8Mailbox') return 'other-form';
      return mailboxRelation(name.text, base.text);
    case 'smtpUtf8Mailbox':
      // RFC 9598 §6: no CA may write such a constraint. Nobody knows what it would mean for either form.
      return name.kind === 'rfc822Name' || name.kind === 'smtpUtf8Mailbox' ? 'unreadable' : 'other-form';
    case 'dNSName':
      return name.kind === 'dNSName' ? dnsRelation(name.text, base.text) : 'other-form';
    case 'uniformResourceIdentifier':
      return name.kind === 'uniformResourceIdentifier' ? uriRelation(name.text, base.text) : 'other-form';
    case 'directoryName':
      if (name.kind !== 'directoryName') return 'other-form';
      return isWithin(name.name, base.name) ? 'within' : 'outside';
    case 'iPAddress':
      return name.kind === 'iPAddress' ? ipRelation(name.octets, base.octets) : 'other-form';
    case 'unread':
      return name.kind === 'unread' && name.form === base.form ? 'unreadable' : 'other-form';
    default:
      return unreachable(base);
  }
}

/** One mailbox, all of one host (`example.com`), or all of the hosts below a domain (`.example.com`). */
function mailboxRelation(text: string, base: string): SubtreeRelation {
  const mailbox = parseMailbox(text);
  if (mailbox === null) return 'unreadable';
  if (!base.includes('@')) return hostRelation(mailbox.domain, base);
  const only = parseMailbox(base);
  if (only === null) return 'unreadable';
  return only.localPart === mailbox.localPart && only.domain === mailbox.domain ? 'within' : 'outside';
}

/** A host exactly, or with a leading dot everything below it. An empty base holds all, as in wide use. */
function hostRelation(host: string, base: string): SubtreeRelation {
  if (base === '') return 'within';
  const below = base.startsWith('.');
  const domain = canonicalDomain(below ? base.slice(1) : base);
  if (domain === null) return 'unreadable';
  return (below ? host.endsWith(`.${domain}`) : host === domain) ? 'within' : 'outside';
}

/** The host itself and everything that adds labels on the left; a leading dot, not in the RFC but in use, only the latter. */
function dnsRelation(text: string, base: string): SubtreeRelation {
  const host = canonicalDomain(text);
  if (host === null) return 'unreadable';
  const exact = hostRelation(host, base);
  if (exact !== 'outside' || base.startsWith('.')) return exact;
  return hostRelation(host, `.${base}`);
}

const URI =
  /^[a-z][a-z0-9+.-]*:\/\/(?:[A-Za-z0-9._~!$&'()*+,;=:%-]*@)?([A-Za-z0-9.-]+)(?::[0-9]*)?(?:[/?#][!-~]*)?$/i;

/** RFC 5280 §4.2.1.10: on the host part; a URI without a host name in its authority must be refused. */
function uriRelation(text: string, base: string): SubtreeRelation {
  const host = canonicalDomain(URI.exec(text)?.[1] ?? '');
  const isAddress = host !== null && /(?:^|\.)[0-9]+$/.test(host);
  return host === null || isAddress ? 'unreadable' : hostRelation(host, base);
}

/** Address and mask (RFC 4632), 8 octets for IPv4, 32 for IPv6. */
function ipRelation(address: Buffer, base: Buffer): SubtreeRelation {
  if (address.length !== 4 && address.length !== 16) return 'unreadable';
  if (base.length !== 8 && base.length !== 32) return 'unreadable';
  if (base.length !== address.length * 2) return 'outside';
  const mask = base.subarray(address.length);
  if (!isPrefixMask(mask)) return 'unreadable';
  for (let i = 0; i < address.length; i++) {
    if ((((address[i] ?? 0) ^ (base[i] ?? 0)) & (mask[i] ?? 0)) !== 0) return 'outside';
  }
  return 'within';
}

function isPrefixMask(mask: Buffer): boolean {
  const bits = [...mask].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits);
}
