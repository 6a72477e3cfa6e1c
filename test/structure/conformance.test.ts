import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const HERE = 'test/conformance';
const CASES = Array.from({ length: 44 }, (_, index) => index + 1);

type Row = { number: number; tests: string };

function rows(): Row[] {
  const text = readFileSync(join(ROOT, HERE, 'README.md'), 'utf8');
  return [...text.matchAll(/^\| ([0-9]+) \| [^|]+ \| (.+) \|$/gm)].map(([, number = '', tests = '']) => ({
    number: Number(number),
    tests,
  }));
}

/** The files of test/conformance and the numbers that their names begin with. */
function files(): { name: string; numbers: number[]; text: string }[] {
  return readdirSync(join(ROOT, HERE))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => ({
      name,
      numbers: (/^[0-9]{2}(?:-[0-9]{2})*(?=-[a-z])/.exec(name)?.[0] ?? '').split('-').map(Number),
      text: readFileSync(join(ROOT, HERE, name), 'utf8'),
    }));
}

/** Whether a test of that file says that it is about the case: `'2, 8: it opens …'`. */
function isAbout(text: string, number: number): boolean {
  return [...text.matchAll(/['`]((?:[0-9]+, )*[0-9]+): /g)].some(([, numbers = '']) =>
    numbers.split(', ').includes(String(number)),
  );
}

test('every case of the list has its tests', () => {
  expect(rows().map(({ number }) => number)).toEqual(CASES);
});

test('tests that the list calls here are here, in files that are named by their numbers', () => {
  const here = files();
  for (const { name, numbers } of here)
    expect([name, numbers.every((number) => CASES.includes(number))]).toEqual([name, true]);
  for (const { number, tests } of rows()) {
    const about = here.some(({ numbers, text }) => numbers.includes(number) && isAbout(text, number));
    expect([number, about]).toEqual([number, /^here\b/.test(tests)]);
  }
});

test('tests that the list has elsewhere are there', () => {
  for (const { number, tests } of rows()) {
    for (const [, file = '', title = ''] of tests.matchAll(/`([^`]+\.test\.ts)`: ([^|]*?)(?=;|$)/g)) {
      const text = readFileSync(join(ROOT, file), 'utf8');
      expect([number, file, text.includes(title.trim())]).toEqual([number, file, true]);
    }
  }
});
