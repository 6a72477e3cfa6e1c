import { SealgateError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { extensionElement, extensionOids } from './certificate-extensions.ts';
import { type NameConstraints, parseNameConstraints } from './name-constraints.ts';
import { type PolicyExtensions, parsePolicyExtensions } from './policy-extensions.ts';

/** What only path validation reads of a certificate. A part that cannot be read is `unreadable` and fails the path. */
export type PathFacts = {
  nameConstraints: NameConstraints | null | 'unreadable';
  policy: PolicyExtensions | 'unreadable';
  /** OIDs of critical extensions that nothing here processes. */
  unknownCritical: readonly string[];
};

/**
 * Extensions that validation processes. Whatever is not in this list and critical is refused: RFC 5280 §6.1.4 (o), §6.1.5
 * (f). extendedKeyUsage is processed only where a purpose is asked for, so path validation adds it to its list itself.
 */
const PROCESSED: ReadonlySet<string> = new Set([
  extensionOids.subjectKeyIdentifier,
  extensionOids.authorityKeyIdentifier,
  extensionOids.keyUsage,
  extensionOids.subjectAltName,
  extensionOids.basicConstraints,
  extensionOids.nameConstraints,
  extensionOids.certificatePolicies,
  extensionOids.policyMappings,
  extensionOids.policyConstraints,
  extensionOids.inhibitAnyPolicy,
]);

const known = new WeakMap<Certificate, PathFacts>();

/** Read once per certificate. */
export function pathFacts(certificate: Certificate): PathFacts {
  let facts = known.get(certificate);
  if (facts === undefined) {
    const { extensions } = certificate;
    const constraints = readNameConstraints(certificate);
    facts = {
      nameConstraints: constraints,
      policy: readable(() => parsePolicyExtensions(extensions)),
      unknownCritical: extensions
        .filter((extension) => extension.critical && !PROCESSED.has(extension.oid))
        .map((extension) => extension.oid),
    };
    known.set(certificate, facts);
  }
  return facts;
}

function readNameConstraints(certificate: Certificate): PathFacts['nameConstraints'] {
  return readable(() => {
    const element = extensionElement(certificate.extensions, extensionOids.nameConstraints);
    return element === null ? null : parseNameConstraints(element);
  });
}

function readable<T>(read: () => T): T | 'unreadable' {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealgateError) return 'unreadable';
    throw error;
  }
}
