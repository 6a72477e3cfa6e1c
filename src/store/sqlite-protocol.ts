import type { Row, Statement } from './sql-store.ts';

/** What the main thread and the thread that holds the database say to each other. */

export type WorkerData = {
  file: string;
  migrations: readonly { version: number; statements: readonly string[] }[];
  powerCut: PowerCut;
  tables: Tables;
};

/** Tables of an older version: the gateway changes them when it starts, and whoever comes beside it opens none of them. New files get theirs from both. */
export type Tables = 'brought-up-to-date' | 'as-they-are';

/** What a power cut may take: nothing that was answered, or the last moments (never half a transaction). */
export type PowerCut = 'takes-nothing' | 'takes-the-last';

export type Request =
  /** Several statements are one transaction. */
  { id: number; kind: 'run'; statements: readonly Statement[] } | { id: number; kind: 'close' };

export type Response =
  | { kind: 'opened' }
  | { kind: 'unusable'; reason: string }
  | { kind: 'done'; id: number; rows: readonly (readonly Row[])[] }
  | { kind: 'failed'; id: number; reason: string };
