import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { IMPORT_TABLE, mayImport, rowText } from './import-table.ts';
import { importsOf, ROOT, resolveImport, sourceFiles } from './source-files.ts';

const files = sourceFiles('src');

/** Folders that compute: what reaches the outside is handed to them. */
const WITHOUT_INPUT_AND_OUTPUT = [
  'asn1',
  'cms',
  'mail',
  'mail-view',
  'pipeline',
  'pki',
  'policy',
  'smime',
  'smtp',
];
/** Of a module that opens sockets, the functions that only read text. */
const ONLY_READS_TEXT = /^import \{ (?:isIP(?:v4|v6)?(?:, )?)+ \} from 'node:net';$/gm;
const OUTSIDE =
  /^node:(net|tls|http|https|http2|dns|dgram|fs|child_process|cluster|sqlite|os|readline|repl)(\/|$)/;

describe('who may import whom', () => {
  test('every import of src is one that the table allows', () => {
    const forbidden: string[] = [];
    let seen = 0;
    for (const file of files) {
      for (const { specifier, typesOnly } of importsOf(file)) {
        if (!specifier.startsWith('.')) continue;
        seen++;
        const target = resolveImport(file.path, specifier);
        if (!mayImport(file.path, target, typesOnly)) {
          forbidden.push(`${file.path} imports ${typesOnly ? 'types of ' : ''}${target}`);
        }
      }
    }
    expect(forbidden).toEqual([]);
    // Were the pattern blind, nothing would be forbidden.
    expect(seen).toBeGreaterThan(files.length / 2);
  });

  test('every folder and top file of src has its row', () => {
    const named = new Set([
      ...IMPORT_TABLE.map(({ folder }) => folder),
      'log',
      'errors.ts',
      'ids.ts',
      'limits',
      'limits.ts',
    ]);
    const homes = new Set(files.map(({ path }) => path.split('/')[0] ?? ''));
    expect([...homes].filter((home) => !named.has(home))).toEqual([]);
  });

  test('docs/architecture.md shows the same table', () => {
    const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
    const rows = page.split('\n').filter((line) => /^\| \d \|/.test(line));
    expect(rows).toEqual(IMPORT_TABLE.map(rowText));
  });

  test.each([
    ['smtp-in/session.ts', 'pipeline/ports.ts', true, true],
    ['smtp-in/session.ts', 'pipeline/ports.ts', false, false],
    ['smtp-in/session.ts', 'pipeline/outbound.ts', true, false],
    ['smtp-in/session.ts', 'smtp-in/ehlo.ts', false, true],
    ['pki/certificate.ts', 'mail/address.ts', false, true],
    ['pki/certificate.ts', 'mail/entity.ts', true, false],
    ['asn1/reader.ts', 'limits.ts', false, true],
    ['asn1/reader.ts', 'cms/oids.ts', false, false],
    ['gateway.ts', 'hsm/keyring.ts', false, true],
    ['hsm/keyring.ts', 'gateway.ts', false, false],
    ['mail/entity.ts', 'evaluation/journey.ts', false, false],
  ])('%s to %s, types only: %s, is allowed: %s', (from, to, typesOnly, allowed) => {
    expect(mayImport(from, to, typesOnly)).toBe(allowed);
  });

  test('the reader of imports sees every form', () => {
    const text = [
      "import { a } from './a.ts';",
      "import type { B } from './b.ts';",
      "import { type C, type D } from './c.ts';",
      "import { type E, f } from './d.ts';",
      'import {',
      '  type G,',
      '  h,',
      "} from './e.ts';",
      "import './f.ts';",
      "export { i } from './g.ts';",
      "export type { J } from './h.ts';",
      "export * from './i.ts';",
      "import k from './j.ts';",
      "const l = await import('./k.ts');",
      "new Worker(new URL('./l.ts', import.meta.url));",
    ].join('\n');
    const seen = importsOf({ path: 'x.ts', text }).map(
      ({ specifier, typesOnly }) => `${specifier}${typesOnly ? ' types' : ''}`,
    );
    expect(seen.sort()).toEqual(
      ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'].map(
        (name) => `./${name}.ts${['b', 'c', 'h'].includes(name) ? ' types' : ''}`,
      ),
    );
  });
});

describe('what folders that compute leave to others', () => {
  test.each(WITHOUT_INPUT_AND_OUTPUT)('%s opens no socket, file or process', (folder) => {
    const own = files.filter(({ path }) => path.startsWith(`${folder}/`));
    const reaching = own.flatMap((file) =>
      importsOf({ path: file.path, text: file.text.replace(ONLY_READS_TEXT, '') })
        .filter(({ specifier, typesOnly }) => OUTSIDE.test(specifier) && !typesOnly)
        .map(({ specifier }) => `${file.path} imports ${specifier}`),
    );
    expect(reaching).toEqual([]);
    expect(own.length).toBeGreaterThan(0);
  });
});
