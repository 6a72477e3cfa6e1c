import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, sourceFiles } from './source-files.ts';

test('docs/rfc.md lists every RFC that the code cites', () => {
  const index = readFileSync(join(ROOT, 'docs/rfc.md'), 'utf8');
  const listed = new Set(index.match(/\b\d{4,5}\b/g));
  const cited = sourceFiles('src').flatMap(({ path, text }) =>
    [...text.matchAll(/RFC (\d{3,5})/g)].map((match) => ({ path, rfc: match[1] ?? '' })),
  );
  expect(cited.length).toBeGreaterThan(100);
  expect(cited.filter(({ rfc }) => !listed.has(rfc))).toEqual([]);
});
