import { oidAnyPolicy, type PolicyMapping } from '../../src/pki/policy-extensions.ts';

type Node = { policy: string; expected: Set<string>; children: Node[] };

/**
 * valid_policy_tree written down from RFC 5280 §6.1.3 (d), §6.1.4 (b) and §6.1.5 (g) word by word, exponential as it
 * is: the yardstick for the graph.
 */
export class PolicyTree {
  #root: Node | null = { policy: oidAnyPolicy, expected: new Set([oidAnyPolicy]), children: [] };
  #depth = 0;

  get isNull(): boolean {
    return this.#root === null;
  }

  #at(depth: number): Node[] {
    let nodes = this.#root === null ? [] : [this.#root];
    for (let i = 0; i < depth; i++) nodes = nodes.flatMap((node) => node.children);
    return nodes;
  }

  #prune(): void {
    for (let depth = this.#depth - 1; depth >= 1; depth--) {
      for (const parent of this.#at(depth - 1)) {
        parent.children = parent.children.filter((node) => node.children.length > 0);
      }
    }
    if (this.#root !== null && this.#depth > 0 && this.#root.children.length === 0) this.#root = null;
  }

  addCertificate(policies: readonly string[] | null, anyPolicyCounts: boolean): void {
    if (policies === null) this.#root = null;
    if (this.#root === null || policies === null) return;
    const above = this.#at(this.#depth);
    const grow = (parent: Node, policy: string) => {
      parent.children.push({ policy, expected: new Set([policy]), children: [] });
    };
    for (const policy of policies.filter((one) => one !== oidAnyPolicy)) {
      const matching = above.filter((node) => node.expected.has(policy));
      const any = above.filter((node) => node.policy === oidAnyPolicy);
      for (const parent of matching.length > 0 ? matching : any) grow(parent, policy);
    }
    if (policies.includes(oidAnyPolicy) && anyPolicyCounts) {
      for (const parent of above) {
        for (const policy of parent.expected) {
          if (!parent.children.some((child) => child.policy === policy)) grow(parent, policy);
        }
      }
    }
    this.#depth++;
    this.#prune();
  }

  applyMappings(mappings: readonly PolicyMapping[], mappingAllowed: boolean): void {
    if (this.#root === null) return;
    for (const issuerDomain of new Set(mappings.map((mapping) => mapping.issuerDomain))) {
      const mapped = mappings.filter((mapping) => mapping.issuerDomain === issuerDomain);
      const expected = new Set(mapped.map(({ subjectDomain }) => subjectDomain));
      const nodes = this.#at(this.#depth);
      if (!mappingAllowed) {
        for (const parent of this.#at(this.#depth - 1)) {
          parent.children = parent.children.filter((node) => node.policy !== issuerDomain);
        }
        continue;
      }
      const matching = nodes.filter((node) => node.policy === issuerDomain);
      for (const node of matching) node.expected = expected;
      if (matching.length === 0 && nodes.some((node) => node.policy === oidAnyPolicy)) {
        const parent = this.#at(this.#depth - 1).find((node) => node.policy === oidAnyPolicy);
        parent?.children.push({ policy: issuerDomain, expected, children: [] });
      }
    }
    this.#prune();
  }

  userConstrainedPolicies(initial: ReadonlySet<string> | null): Set<string> {
    const found = new Set<string>();
    if (this.#root === null) return found;
    for (let depth = 0; depth < this.#depth; depth++) {
      for (const parent of this.#at(depth).filter((node) => node.policy === oidAnyPolicy)) {
        for (const child of parent.children) if (child.policy !== oidAnyPolicy) found.add(child.policy);
      }
    }
    const any = this.#at(this.#depth).some((node) => node.policy === oidAnyPolicy);
    if (any) found.add(oidAnyPolicy);
    if (initial === null) return found;
    return any ? new Set(initial) : new Set([...found].filter((policy) => initial.has(policy)));
  }
}
