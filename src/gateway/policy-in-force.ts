import type { Config } from '../config/load.ts';

/** The rules and the groups that they name, replaced together: one reference, so that no mail is judged by half of each. */
export class PolicyInForce {
  #policy: Config['policy'];

  constructor(policy: Config['policy']) {
    this.#policy = policy;
  }

  get rules(): Config['policy']['rules'] {
    return this.#policy.rules;
  }

  get groups(): Config['policy']['groups'] {
    return this.#policy.groups;
  }

  replace(policy: Config['policy']): void {
    this.#policy = policy;
  }
}
