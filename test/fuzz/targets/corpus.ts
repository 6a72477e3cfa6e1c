import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CORPORA = fileURLToPath(new URL('../../../../shared/corpora', import.meta.url));

/**
 * Some files of the corpora whose names end so, spread over all of them; none where the corpora are not at hand.
 *
 * @param under a folder of the corpora
 */
export function corpusFiles(under: string, ending: RegExp, most: number): Buffer[] {
  const paths: string[] = [];
  const folders = [join(CORPORA, under)];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of entriesOf(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else if (ending.test(entry.name) && statSync(path).size <= 65_536) paths.push(path);
    }
  }
  paths.sort();
  const step = Math.max(1, Math.floor(paths.length / most));
  return paths.filter((_, i) => i % step === 0).map((path) => readFileSync(path));
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
