import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
import { openSqlite } from '../../src/store/sqlite.ts';
import { directorySuite } from './directory-suite.ts';
import { remoteSuite } from './remote/remote-suite.ts';

const make = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-directory-'));
  return {
    open: () => openSqlite(join(folder, 'directory.sqlite')),
    remove: async () => rmSync(folder, { recursive: true, force: true }),
  };
};

describe('the directory', () => directorySuite(make));
describe('remote sources', () => remoteSuite(make));
