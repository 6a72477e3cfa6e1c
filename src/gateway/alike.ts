import { createHash } from 'node:crypto';
import type { Config } from '../config/load.ts';

/** What decides how mail is protected and shown, whichever node has it. */
const SECTIONS = [
  ...(['policy', 'principals', 'trust', 'smime', 'append', 'reading', 'holding', 'archives'] as const),
] as const;
type Section = (typeof SECTIONS)[number];

/**
 * What of its configuration a node says to the others, so that somebody is told where it differs: a digest of each section. Of files that a section
 * names their names count, and no secret does.
 */
export class AlikeSections {
  readonly #digests: Record<string, string>;

  constructor(config: Pick<Config, Section>) {
    this.#digests = Object.fromEntries(SECTIONS.map((section) => [section, digestOf(config[section])]));
  }

  /** As it is now. */
  get digests(): Readonly<Record<string, string>> {
    return this.#digests;
  }

  replacePolicy(policy: Config['policy']): void {
    this.#digests.policy = digestOf(policy);
  }
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value, inOrder)).digest('hex').slice(0, 32);
}

/** In whatever order somebody has written it. */
function inOrder(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  if (value instanceof Map || value instanceof Set) return [...value];
  return Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
