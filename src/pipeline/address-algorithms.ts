import { parseMailbox } from '../pki/mailbox.ts';
import type { AlgorithmSettings } from '../smime/algorithm-choice.ts';
import { comparable } from './sender.ts';

/** Algorithms that are pinned for one address of one login; null: as everybody's. */
export type AddressAlgorithms = {
  login: string;
  address: string;
  rsaSignature: AlgorithmSettings['rsaSignature'] | null;
  rsaKeyTransport: AlgorithmSettings['rsaKeyTransport'] | null;
};

/** The settings for mail of this login from this address. */
export function algorithmsFor(
  settings: AlgorithmSettings,
  profiles: readonly AddressAlgorithms[],
  login: string,
  from: string | null,
): AlgorithmSettings {
  const profile = profiles.find(
    (each) => each.login === login && from !== null && isSame(each.address, from),
  );
  if (profile === undefined) return settings;
  return {
    ...settings,
    rsaSignature: profile.rsaSignature ?? settings.rsaSignature,
    rsaKeyTransport: profile.rsaKeyTransport ?? settings.rsaKeyTransport,
  };
}

function isSame(one: string, other: string): boolean {
  const [mine, theirs] = [parseMailbox(one), parseMailbox(other)];
  return mine !== null && theirs !== null && comparable(mine) === comparable(theirs);
}
