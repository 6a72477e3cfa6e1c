import type { SecretSource } from '../source-kinds.ts';
import type { PinOutcome, SecretIdentity } from './pin-prompt.ts';

/** How reading without a person ends: at once, `pin` or `unavailable`. */
export type SecretOutcome = Extract<PinOutcome, { kind: 'pin' | 'unavailable' }>;

/** A password, passphrase or PIN from a file or the environment of this process. Never throws. */
export function readSecret(source: SecretSource): SecretOutcome {
  return {
    kind: 'unavailable',
    duration: 'temporary',
    publicText: `Nothing reads ${identityOf(source)} yet.`,
  };
}

/** Without reading it: for seeing that a refused one was changed. null: it is not there now. */
export function identityOf(source: SecretSource): SecretIdentity | null {
  return 'env' in source ? `env ${source.env}` : null;
}
