import type { Row, Statement } from './sql-store.ts';

/** What the main thread and the thread that holds the database say to each other. */

export type WorkerData = {
  file: string;
  migrations: readonly { version: number; statements: readonly string[] }[];
  powerCut: PowerCut;
};

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
