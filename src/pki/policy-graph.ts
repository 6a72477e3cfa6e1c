import { oidAnyPolicy, type PolicyMapping } from './policy-extensions.ts';

type Node = {
  readonly policy: string;
  /** expected_policy_set: what the next certificate may call this policy. */
  expected: ReadonlySet<string>;
  readonly parents: ReadonlySet<Node>;
  readonly children: Set<Node>;
};

/**
 * valid_policy_graph of RFC 9618 §5, which takes the place of the valid_policy_tree of RFC 5280 §6.1: the same answers,
 * but one node per policy and depth. The tree doubles with every mapping of two policies to two (CVE-2023-0464).
 *
 * What holds: `#levels[i]` has at most one node of each policy, so its size is that of the certificate; every node below
 * the root has a parent, every node above the last level has a child.
 */
export class PolicyGraph {
  /** From depth 0 to the depth reached; null: the graph is NULL, and stays it. */
  #levels: Map<string, Node>[] | null;

  /** RFC 5280 §6.1.2 (a): one node of depth 0 with anyPolicy. */
  constructor() {
    this.#levels = [new Map([[oidAnyPolicy, newNode(oidAnyPolicy, [])]])];
  }

  get isNull(): boolean {
    return this.#levels === null;
  }

  /**
   * RFC 9618 §5.3, steps (d) and (e) for the next certificate.
   *
   * @param policies of certificatePolicies; null: absent
   * @param anyPolicyCounts inhibit_anyPolicy is above 0, or the certificate is self-issued and not the last
   */
  addCertificate(policies: readonly string[] | null, anyPolicyCounts: boolean): void {
    const above = this.#levels?.at(-1);
    if (this.#levels === null || above === undefined) return;
    if (policies === null) {
      this.#levels = null;
      return;
    }
    const expecting = byExpectedPolicy(above);
    const anyAbove = above.get(oidAnyPolicy);
    const level = new Map<string, Node>();
    for (const policy of policies) {
      if (policy === oidAnyPolicy) continue;
      // (d)(1)(i), and (ii) where nothing above expects it.
      const parents = expecting.get(policy) ?? (anyAbove === undefined ? [] : [anyAbove]);
      if (parents.length > 0) level.set(policy, newNode(policy, parents));
    }
    if (anyPolicyCounts && policies.includes(oidAnyPolicy)) {
      // (d)(2)
      for (const [policy, parents] of expecting) {
        if (!level.has(policy)) level.set(policy, newNode(policy, parents));
      }
    }
    this.#levels.push(level);
    this.#prune();
  }

  /**
   * RFC 9618 §5.4, step (b) of RFC 5280 §6.1.4, after `addCertificate` of the same certificate. The caller has refused
   * mappings from and to anyPolicy (step (a)).
   *
   * @param mappingAllowed policy_mapping is above 0
   */
  applyMappings(mappings: readonly PolicyMapping[], mappingAllowed: boolean): void {
    const level = this.#levels?.at(-1);
    const above = this.#levels?.at(-2);
    if (level === undefined || above === undefined || mappings.length === 0) return;
    const subjectDomains = new Map<string, Set<string>>();
    for (const { issuerDomain, subjectDomain } of mappings) {
      const known = subjectDomains.get(issuerDomain);
      if (known === undefined) subjectDomains.set(issuerDomain, new Set([subjectDomain]));
      else known.add(subjectDomain);
    }
    for (const [policy, expected] of subjectDomains) {
      if (!mappingAllowed) {
        removeLeaf(level, policy);
        continue;
      }
      const node = level.get(policy);
      const anyAbove = above.get(oidAnyPolicy);
      if (node !== undefined) {
        node.expected = expected;
      } else if (level.has(oidAnyPolicy) && anyAbove !== undefined) {
        const mapped = newNode(policy, [anyAbove]);
        mapped.expected = expected;
        level.set(policy, mapped);
      }
    }
    this.#prune();
  }

  /**
   * RFC 9618 §5.5, user_constrained_policy_set.
   *
   * @param initialPolicySet user-initial-policy-set; null: any-policy
   * @returns OIDs; `2.5.29.32.0` among them: any policy
   */
  userConstrainedPolicies(initialPolicySet: ReadonlySet<string> | null): Set<string> {
    const authority = this.#authorityConstrainedPolicies();
    if (initialPolicySet === null || initialPolicySet.has(oidAnyPolicy)) return authority;
    return authority.has(oidAnyPolicy)
      ? new Set(initialPolicySet)
      : new Set([...authority].filter((policy) => initialPolicySet.has(policy)));
  }

  /** The policies by the names that the anchor's domain gives them: children of anyPolicy nodes, at any depth. */
  #authorityConstrainedPolicies(): Set<string> {
    const policies = new Set<string>();
    if (this.#levels === null) return policies;
    for (const level of this.#levels) {
      for (const node of level.values()) {
        const [parent] = node.parents;
        const isTop = node.parents.size === 1 && parent?.policy === oidAnyPolicy;
        if (node.policy !== oidAnyPolicy && isTop) policies.add(node.policy);
      }
    }
    if (this.#levels.at(-1)?.has(oidAnyPolicy) === true) policies.add(oidAnyPolicy);
    return policies;
  }

  /** Step (d)(3): nodes without children leave, from below upwards; without its root the graph is NULL. */
  #prune(): void {
    const levels = this.#levels;
    if (levels === null) return;
    for (const level of levels.slice(0, -1).reverse()) {
      for (const node of level.values()) {
        if (node.children.size === 0) removeLeaf(level, node.policy);
      }
    }
    if (levels.some((level) => level.size === 0)) this.#levels = null;
  }
}

function newNode(policy: string, parents: readonly Node[]): Node {
  const node: Node = { policy, expected: new Set([policy]), parents: new Set(parents), children: new Set() };
  for (const parent of parents) parent.children.add(node);
  return node;
}

function removeLeaf(level: Map<string, Node>, policy: string): void {
  const node = level.get(policy);
  if (node === undefined) return;
  for (const parent of node.parents) parent.children.delete(node);
  level.delete(policy);
}

function byExpectedPolicy(level: ReadonlyMap<string, Node>): Map<string, Node[]> {
  const found = new Map<string, Node[]>();
  for (const node of level.values()) {
    for (const policy of node.expected) {
      const nodes = found.get(policy);
      if (nodes === undefined) found.set(policy, [node]);
      else nodes.push(node);
    }
  }
  return found;
}
