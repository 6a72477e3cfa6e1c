import { type Element, implicitly, universal } from '../asn1/element.ts';
import { SequenceReader, sequenceOf } from '../asn1/sequence-reader.ts';
import { smallInteger } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import { type GeneralName, parseGeneralName } from './general-name.ts';
import { malformed } from './malformed.ts';
import { isEmptyName } from './name.ts';
import { isWithinSubtree } from './name-subtree.ts';

/** `NameConstraints` of RFC 5280 §4.2.1.10: the bases of both lists of subtrees. */
export type NameConstraints = { permitted: readonly GeneralName[]; excluded: readonly GeneralName[] };

/**
 * `NameConstraints ::= SEQUENCE { permittedSubtrees [0] GeneralSubtrees OPTIONAL, excludedSubtrees [1] … }`, in DER.
 *
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function parseNameConstraints(element: Element): NameConstraints {
  const constraints = sequenceOf(element, 'DER', 'nameConstraints');
  const permitted = constraints.optionalContext(0);
  const excluded = constraints.optionalContext(1);
  constraints.end();
  if (permitted === null && excluded === null) throw malformed('an empty nameConstraints');
  return {
    permitted: permitted === null ? [] : parseSubtrees(permitted),
    excluded: excluded === null ? [] : parseSubtrees(excluded),
  };
}

/** `GeneralSubtree ::= SEQUENCE { base GeneralName, minimum [0] INTEGER DEFAULT 0, maximum [1] INTEGER OPTIONAL }`. */
function parseSubtrees(element: Element): GeneralName[] {
  const list = new SequenceReader(element, 'DER');
  const found: GeneralName[] = [];
  while (!list.atEnd) {
    if (found.length >= limits.pki.generalNames) throw malformed('too many subtrees in nameConstraints');
    const subtree = list.sequence('a GeneralSubtree');
    found.push(parseGeneralName(subtree.next('base')));
    const minimum = subtree.optionalContext(0);
    const maximum = subtree.optionalContext(1);
    subtree.end();
    // RFC 5280 §4.2.1.10: minimum MUST be zero, and maximum MUST be absent.
    const isZero = minimum === null || smallInteger(implicitly(minimum, universal.integer)) === 0;
    if (!isZero || maximum !== null) throw malformed('a subtree with minimum or maximum');
  }
  if (found.length === 0) throw malformed('an empty list of subtrees');
  return found;
}

/**
 * permitted_subtrees and excluded_subtrees of RFC 5280 §6.1.1 along one path. The intersection of permitted subtrees is
 * kept as the list of all that were said: a name must lie within each of them.
 *
 * Whatever cannot be compared is refused: a name that cannot be read while its form is constrained, a constrained form
 * that nothing here reads, a comparison too many.
 */
export class NameConstraintState {
  readonly #said: NameConstraints[] = [];
  #comparisons = 0;

  /** RFC 5280 §6.1.4 (g). */
  add(constraints: NameConstraints): void {
    this.#said.push(constraints);
  }

  /** RFC 5280 §6.1.3 (b) and (c). null: every name of the certificate is allowed; otherwise why not, for people. */
  refusal(certificate: Certificate): string | null {
    if (this.#said.length === 0) return null;
    for (const name of namesOf(certificate)) {
      const refusal = this.#refusalOf(name);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  #refusalOf(name: GeneralName): string | null {
    for (const { permitted, excluded } of this.#said) {
      for (const base of excluded) {
        const relation = this.#compare(name, base);
        if (relation === 'unreadable')
          return `A name of it (${formOf(name)}) cannot be compared with a constraint.`;
        if (relation === 'within')
          return `A name of it (${formOf(name)}) lies in a subtree that a CA excluded.`;
      }
      let allowed: boolean | null = null;
      for (const base of permitted) {
        const relation = this.#compare(name, base);
        if (relation === 'unreadable')
          return `A name of it (${formOf(name)}) cannot be compared with a constraint.`;
        if (relation === 'other-form') continue;
        allowed = relation === 'within';
        if (allowed) break;
      }
      if (allowed === false)
        return `A name of it (${formOf(name)}) lies outside what a CA of the path permits.`;
    }
    return null;
  }

  #compare(name: GeneralName, base: GeneralName): ReturnType<typeof isWithinSubtree> {
    if (++this.#comparisons > limits.pki.nameComparisons) return 'unreadable';
    return isWithinSubtree(name, base);
  }
}

/**
 * Every name that constraints speak of. emailAddress attributes of the subject count even beside a subjectAltName: RFC
 * 5280 §4.2.1.10 asks for it only without one, but a rule may take them as evidence.
 */
function namesOf(certificate: Certificate): GeneralName[] {
  const names: GeneralName[] = [...certificate.subjectAltName];
  if (!isEmptyName(certificate.subject)) names.push({ kind: 'directoryName', name: certificate.subject });
  for (const text of certificate.subjectMailboxes) names.push({ kind: 'rfc822Name', text });
  return names;
}

function formOf(name: GeneralName): string {
  return name.kind === 'unread' ? name.form : name.kind;
}
