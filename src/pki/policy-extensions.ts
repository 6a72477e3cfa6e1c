import { type Element, implicitly, universal } from '../asn1/element.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { objectIdentifier, smallInteger } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import type { Extension } from './certificate-extensions.ts';
import { extensionElement, extensionOids } from './certificate-extensions.ts';
import { malformed } from './malformed.ts';

export const oidAnyPolicy = '2.5.29.32.0';

/** What a certificate says about policies (RFC 5280 §4.2.1.4, .5, .11, .14). */
export type PolicyExtensions = {
  /** null: no certificatePolicies. */
  policies: readonly string[] | null;
  mappings: readonly PolicyMapping[];
  /** Numbers of certificates; null: not said. */
  requireExplicitPolicy: number | null;
  inhibitPolicyMapping: number | null;
  inhibitAnyPolicy: number | null;
};

export type PolicyMapping = { issuerDomain: string; subjectDomain: string };

/** @throws SealgateError `asn1.malformed`, `pki.malformed` */
export function parsePolicyExtensions(extensions: readonly Extension[]): PolicyExtensions {
  const constraints = extensionElement(extensions, extensionOids.policyConstraints);
  const inhibit = extensionElement(extensions, extensionOids.inhibitAnyPolicy);
  return {
    policies: parsePolicies(extensionElement(extensions, extensionOids.certificatePolicies)),
    mappings: parseMappings(extensionElement(extensions, extensionOids.policyMappings)),
    ...(constraints === null
      ? { requireExplicitPolicy: null, inhibitPolicyMapping: null }
      : parseConstraints(constraints)),
    inhibitAnyPolicy: inhibit === null ? null : skipCerts(inhibit),
  };
}

/**
 * `certificatePolicies ::= SEQUENCE SIZE (1..MAX) OF PolicyInformation`. Qualifiers are for people (RFC 5280 §4.2.1.4)
 * and change nothing in validation; they are read over.
 */
function parsePolicies(element: Element | null): readonly string[] | null {
  if (element === null) return null;
  const list = sequenceOf(element, 'DER', 'certificatePolicies');
  const found = new Set<string>();
  while (!list.atEnd) {
    if (found.size >= limits.pki.policies) throw malformed('too many certificate policies');
    const information = list.sequence('PolicyInformation');
    const policy = objectIdentifier(information.next('policyIdentifier'));
    information.optionalUniversal(universal.sequence);
    information.end();
    if (found.has(policy)) throw malformed('a certificate policy that stands there twice');
    found.add(policy);
  }
  if (found.size === 0) throw malformed('an empty certificatePolicies');
  return [...found];
}

/** `PolicyMappings ::= SEQUENCE SIZE (1..MAX) OF SEQUENCE { issuerDomainPolicy, subjectDomainPolicy }`. */
function parseMappings(element: Element | null): PolicyMapping[] {
  if (element === null) return [];
  const list = sequenceOf(element, 'DER', 'policyMappings');
  const found: PolicyMapping[] = [];
  while (!list.atEnd) {
    if (found.length >= limits.pki.policies) throw malformed('too many policy mappings');
    const pair = list.sequence('a policy mapping');
    const issuerDomain = objectIdentifier(pair.next('issuerDomainPolicy'));
    const subjectDomain = objectIdentifier(pair.next('subjectDomainPolicy'));
    pair.end();
    found.push({ issuerDomain, subjectDomain });
  }
  if (found.length === 0) throw malformed('an empty policyMappings');
  return found;
}

/** `PolicyConstraints ::= SEQUENCE { requireExplicitPolicy [0] SkipCerts OPTIONAL, inhibitPolicyMapping [1] … }`. */
function parseConstraints(
  element: Element,
): Pick<PolicyExtensions, 'requireExplicitPolicy' | 'inhibitPolicyMapping'> {
  const constraints = sequenceOf(element, 'DER', 'policyConstraints');
  const explicit = constraints.optionalContext(0);
  const mapping = constraints.optionalContext(1);
  constraints.end();
  if (explicit === null && mapping === null) throw malformed('an empty policyConstraints');
  return {
    requireExplicitPolicy: explicit === null ? null : skipCerts(implicitly(explicit, universal.integer)),
    inhibitPolicyMapping: mapping === null ? null : skipCerts(implicitly(mapping, universal.integer)),
  };
}

/** `SkipCerts ::= INTEGER (0..MAX)`. */
function skipCerts(element: Element): number {
  const count = smallInteger(element);
  if (count < 0) throw malformed('a negative number of certificates');
  return count;
}
