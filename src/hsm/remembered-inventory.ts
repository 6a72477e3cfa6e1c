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

/** As text for the store. */
export function writeInventory(inventory: Inventory): string {
  return JSON.stringify({
    ...inventory,
    keys: inventory.keys.map((key) => ({ ...key, certificate: base64(key.certificate) })),
    certificates: inventory.certificates.map(base64),
  });
}

/** null: not what was written; what it said is found out again when the token is there. */
export function readInventory(text: string): Inventory | null {
  if (text.length > limits.keys.inventoryCharacters) return null;
  try {
    return schema.parse(JSON.parse(text, revived));
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
