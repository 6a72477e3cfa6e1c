import { unavailable } from '../failures.ts';
import type { Inventory } from '../inventory.ts';
import type { Failure } from '../messages.ts';
import type { SoftwareSource, TokenSource } from '../source-kinds.ts';
import { tokenOf } from './place-name.ts';

/** Failures that the gateway's side of a key process finds by itself. */

export function away(reason: string): Failure {
  return unavailable('The key is not available at the moment; try again in a minute.', reason, true);
}

export function pinNotTyped(token: Inventory | null): Failure {
  return {
    code: 'key.pin-needed',
    publicText: `The PIN of the card${labelled(token)} was not typed in time; type it when you are asked, and try again.`,
    duration: 'temporary',
    reason: 'nobody typed the PIN',
    sessionLost: false,
  };
}

export function endedDuringTypedLogin(reason: string): Failure {
  return unavailable('The PKCS#11 module ended while it was checking the PIN; try again.', reason, true);
}

/** The process ended between the permission to send the PIN and the answer to it. */
export function loginOutcomeUnknown(place: TokenSource | SoftwareSource, reason: string): Failure {
  return {
    code: 'key.unavailable',
    publicText: `The PKCS#11 module ended while it was checking the PIN, so nobody knows whether the PIN is right; it is not sent again by itself. Check the module and the PIN (for example with pkcs11-tool --login), then ${remedy(place)}.`,
    duration: 'permanent',
    reason,
    sessionLost: true,
  };
}

/** Known from before, perhaps from another run of the gateway. */
export function refusedBefore(place: TokenSource | SoftwareSource, token: Inventory | null): Failure {
  return {
    code: 'key.pin-incorrect',
    publicText: `The token${labelled(token)} refused this PIN before, or may have; it is not sent again by itself. Check the PIN, then ${remedy(place)}.`,
    duration: 'permanent',
    reason: 'refused before',
    sessionLost: true,
  };
}

function remedy(place: TokenSource | SoftwareSource): string {
  const pin = tokenOf(place)?.pin;
  if (pin === undefined || 'ask' in pin) return 'start again';
  if ('env' in pin) return `correct ${pin.env} and start again`;
  return `write it to ${pin.file} anew`;
}

function labelled(inventory: Inventory | null): string {
  const label = inventory?.token?.label ?? '';
  // A card's own words: no control characters, bounded.
  return label === '' ? '' : ` “${label.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?').slice(0, 64)}”`;
}
