import type { Entity } from './entity.ts';

/** A whole message as received. `root` and all entities are byte ranges of `octets`. */
export type Message = { octets: Buffer; root: Entity };
