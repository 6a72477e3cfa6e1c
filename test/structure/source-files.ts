import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export type SourceFile = {
  /** Below the folder that was asked for, with `/`. */
  path: string;
  text: string;
};

/** Every TypeScript or plain JavaScript file below a folder of the project. */
export function sourceFiles(folder: string): SourceFile[] {
  const top = join(ROOT, folder);
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({ path: file.slice(top.length + 1), text: readFileSync(file, 'utf8') }));
}

export type Import = {
  /** As written. */
  specifier: string;
  /** Nothing is left of it when types are stripped. */
  typesOnly: boolean;
};

/** Static, re-exporting, dynamic and worker imports of a file that the formatter has passed. */
export function importsOf({ text }: SourceFile): Import[] {
  const imports: Import[] = [];
  for (const [, clause = '', specifier = ''] of text.matchAll(
    /^(?:import|export)\s([^;'"]*?)\s?from '([^']+)'/gm,
  )) {
    imports.push({ specifier, typesOnly: isTypesOnly(clause) });
  }
  for (const [, specifier = ''] of text.matchAll(/^import '([^']+)'/gm))
    imports.push({ specifier, typesOnly: false });
  for (const [, specifier = ''] of text.matchAll(/\bimport\(\s*'([^']+)'/g))
    imports.push({ specifier, typesOnly: false });
  for (const [, specifier = ''] of text.matchAll(/\bnew URL\(\s*'(\.[^']+\.ts)',\s*import\.meta\.url/g)) {
    imports.push({ specifier, typesOnly: false });
  }
  return imports;
}

function isTypesOnly(clause: string): boolean {
  if (clause.startsWith('type ')) return true;
  const named = /^\{([^}]*)\}$/.exec(clause.trim())?.[1];
  if (named === undefined) return false;
  const names = named.split(',').map((name) => name.trim());
  return names.every((name) => name === '' || name.startsWith('type '));
}

/** The path below the same folder that a relative specifier of a file means. */
export function resolveImport(from: string, specifier: string): string {
  return posix.normalize(posix.join(dirname(from), specifier));
}
