import * as z from 'zod';
import { noFiles } from './files.ts';
import { configSchema } from './schema.ts';

/** The part of JSON Schema (draft 2020-12) that the configuration schema turns into. */
export type Shape = {
  type?: string;
  description?: string;
  default?: unknown;
  /** Ours, see values.ts. */
  example?: unknown;
  furtherExamples?: readonly unknown[];
  shown?: boolean;
  off?: boolean;
  what?: string;
  like?: string;
  enum?: readonly unknown[];
  const?: unknown;
  properties?: Readonly<Record<string, Shape>>;
  required?: readonly string[];
  items?: Shape;
  anyOf?: readonly Shape[];
  oneOf?: readonly Shape[];
  minimum?: number;
  maximum?: number;
};

let made: Shape | null = null;

/** The file's shape as an operator writes it. Made on first use, from schema.ts alone. */
export function configShape(): Shape {
  made ??= z.toJSONSchema(configSchema(noFiles), { io: 'input' }) as Shape;
  return made;
}

/** The keys that may stand in the map at `path` of `data`; empty where the schema knows no map. */
export function allowedKeys(path: readonly PropertyKey[], data: unknown): readonly string[] {
  let shape: Shape | undefined = chosen(configShape(), data);
  let value = data;
  for (const step of path) {
    shape = typeof step === 'number' ? shape?.items : shape?.properties?.[String(step)];
    value = typeof value === 'object' && value !== null ? Reflect.get(value, step) : undefined;
    if (shape !== undefined) shape = chosen(shape, value);
  }
  return Object.keys(shape?.properties ?? {});
}

/** Of alternatives with a `kind`, the one the value names. */
function chosen(shape: Shape, value: unknown): Shape {
  const kind = typeof value === 'object' && value !== null ? Reflect.get(value, 'kind') : undefined;
  return shape.oneOf?.find((one) => one.properties?.kind?.const === kind) ?? shape;
}
