import { hash } from 'node:crypto';
import { z } from 'zod';
import { limits } from '../limits.ts';
import { type Inventory, inventory as schema } from './inventory.ts';
import type { TokenSource } from './source-kinds.ts';

/**
 * What a token held when it was there last, kept over a restart, so that a card that is out at the start is known to be away
 * rather than unknown. Public data: certificates, labels, what the token says of itself.
 */
export interface RememberedInventories {
  /** null: nothing is remembered of this place. @throws SealgateError `store.unavailable` */
  read(place: string): Promise<string | null>;
  /** @throws SealgateError `store.unavailable` */
  write(place: string, text: string): Promise<void>;
}

/** One token as the configuration means it: with another module or another choice of token, nothing is remembered. */
export function placeIdentity(source: string, { module, initArgs, token, objects }: TokenSource): string {
  const { label, serial, model, manufacturer, reader } = token;
  const chosen = [
    module,
    initArgs ?? null,
    label,
    serial,
    model,
    manufacturer,
    reader,
    objects.object,
    objects.id,
  ];
  return hash('sha256', JSON.stringify([source, ...chosen]));
}

/** What is known of one choice of token. */
export type RememberedToken = {
  inventory: Inventory;
  /** Of other tokens that were there before, the latest first: whose cards these are is not forgotten because of another one. */
  former: readonly Inventory[];
};

/** Other tokens that are remembered for one choice; more would be strangers'. */
const MOST_FORMER = 4;

/** What is known when the token `before` has made room for the token `now`. */
export function formerAfter(
  before: Inventory | null,
  former: readonly Inventory[],
  now: Inventory,
): readonly Inventory[] {
  const others = before === null ? former : [before, ...former];
  const serials = new Set([now.token?.serial]);
  const latest = others.filter(({ token, keys }) => {
    const isNew = token !== null && keys.length > 0 && !serials.has(token.serial);
    serials.add(token?.serial);
    return isNew;
  });
  return latest.slice(0, MOST_FORMER);
}

/** As text for the store. */
export function writeRemembered({ inventory, former }: RememberedToken): string {
  const text = JSON.stringify({ ...written(inventory), former: former.map(written) });
  // What is there comes before what was.
  return text.length > limits.keys.inventoryCharacters && former.length > 0
    ? writeRemembered({ inventory, former: former.slice(0, -1) })
    : text;
}

/** Equal for inventories that are. */
export function inventoryText(inventory: Inventory): string {
  return JSON.stringify(written(inventory));
}

function written(inventory: Inventory) {
  return {
    ...inventory,
    keys: inventory.keys.map((key) => ({ ...key, certificate: base64(key.certificate) })),
    certificates: inventory.certificates.map(base64),
  };
}

const remembered = schema.extend({ former: z.array(schema).max(MOST_FORMER).default([]) });

/** null: not what was written; what it said is found out again when the token is there. */
export function readRemembered(text: string): RememberedToken | null {
  if (text.length > limits.keys.inventoryCharacters) return null;
  try {
    const { former, ...inventory } = remembered.parse(JSON.parse(text, revived));
    return { inventory, former };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}

function base64(octets: Uint8Array): string {
  return Buffer.from(octets).toString('base64');
}

function revived(name: string, value: unknown): unknown {
  if (name === 'certificate') return octetsOf(value);
  return name === 'certificates' && Array.isArray(value) ? value.map(octetsOf) : value;
}

function octetsOf(value: unknown): unknown {
  return typeof value === 'string' ? Buffer.from(value, 'base64') : value;
}
