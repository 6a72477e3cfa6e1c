import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../../src/store/sqlite.ts';
import { directorySuite } from './directory-suite.ts';

directorySuite(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-directory-'));
  return {
    open: () => openSqlite(join(folder, 'directory.sqlite')),
    remove: async () => rmSync(folder, { recursive: true, force: true }),
  };
});
