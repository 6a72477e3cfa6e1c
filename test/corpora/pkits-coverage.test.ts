import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { corpus } from '../pki/corpora.ts';

/**
 * Whether the list of expected outcomes, which test/pki/pkits.test.ts holds row by row, is the whole of PKITS: a case that
 * nobody lists cannot fail.
 */
type Row = { test: string; mail: string; certs: string[]; crls: string[]; valid: boolean };

const rows = JSON.parse(readFileSync(corpus('pkits', 'expected.json'), 'utf8')) as Row[];

/** Tests in each section of NIST's document, 4.1 to 4.16. */
const TESTS_PER_SECTION = [6, 8, 11, 21, 8, 17, 5, 20, 8, 14, 11, 10, 38, 35, 10, 2];

const namesIn = (folder: string, ending: string): string[] =>
  readdirSync(corpus('pkits', folder))
    .map((name) => name.replace(ending, ''))
    .sort();

describe('PKITS is covered', () => {
  it.each(TESTS_PER_SECTION.map((count, i) => [i + 1, count]))('section 4.%i: %i tests', (section, count) => {
    const tests = new Set(rows.map(({ test }) => test).filter((test) => test.startsWith(`4.${section}.`)));
    expect(tests).toEqual(new Set(Array.from({ length: count }, (_, i) => `4.${section}.${i + 1}`)));
  });

  it('in 249 rows, as several tests have more than one set of policy inputs: 114 to be accepted, 135 to be refused', () => {
    expect(rows).toHaveLength(249);
    expect(rows.filter(({ valid }) => valid)).toHaveLength(114);
  });

  it.each([
    ['certs', '.crt', 405],
    ['crls', '.crl', 173],
  ] as const)('every file of %s stands in some row', (folder, ending, count) => {
    const named = new Set(rows.flatMap((row) => row[folder]));
    expect([...named].sort()).toEqual(namesIn(folder, ending));
    expect(named.size).toBe(count);
  });

  it('every mail belongs to exactly one test', () => {
    const byMail = new Map(rows.map(({ mail, test }) => [mail, test]));
    expect([...byMail.keys()].sort()).toEqual(namesIn('smime', ''));
    expect(new Set(byMail.values()).size).toBe(224);
  });
});
