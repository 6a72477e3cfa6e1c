import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { noFiles } from '../../src/config/files.ts';
import { parseConfig } from '../../src/config/load.ts';
import { exampleText, generatedFiles, referenceText } from '../../src/config/reference.ts';
import { configShape, type Shape } from '../../src/config/shape.ts';

const root = join(import.meta.dirname, '..', '..');

function everySetting(shape: Shape): { name: string; shape: Shape }[] {
  const inner = [shape.items, ...(shape.oneOf ?? [])].flatMap((one) => (one ? everySetting(one) : []));
  const own = Object.entries(shape.properties ?? {}).flatMap(([name, one]) => [
    { name, shape: one },
    ...everySetting(one),
  ]);
  return [...inner, ...own];
}

describe('what is made from the schema', () => {
  test.each(generatedFiles())('$path is what the schema says now', ({ path, text }) => {
    // On a difference: npm run generate
    expect(readFileSync(join(root, path), 'utf8')).toBe(text);
  });

  test('a setting of an item stands in the example once, and no item is empty', () => {
    const lines = exampleText().split('\n');
    expect(
      lines.filter((line) => /^ *# fingerprint: /.test(line) || /# - fingerprint: /.test(line)),
    ).toHaveLength(1);
    expect(lines.filter((line) => /^[ #]*- *$/.test(line))).toEqual([]);
  });

  test('the example is a sound configuration', () => {
    expect(parseConfig('gateway.example.yaml', exampleText(), noFiles)).toMatchObject({
      kind: 'ok',
      warnings: [],
    });
  });

  test('the example stays sound when every default that it shows is switched on', () => {
    const switchedOn = exampleText()
      // A section that is off as a whole stays off.
      .replace(/^# (?:relay|pop3|queue|cluster|holding|archives|http|publishing):\n(?: .*\n)*/gm, '')
      // As does a map of which there are several kinds.
      .replace(/^ {2}# store:\n(?: {4}# .*\n)*/gm, '')
      .split('\n')
      .map((line) =>
        line.replace(/^( *)# ([a-zA-Z]+: (?:[^A-Z].*)?)$/, (whole, indent, setting) =>
          /^(stateFolder|maxConnections|host|maxMessageSize|level|format|form|minTrust|alreadyProtected|loginIsAddress):/.test(
            setting,
          ) && !/\. |[a-z]\.$/.test(setting)
            ? `${indent}${setting}`
            : whole,
        ),
      )
      .join('\n')
      .replace(/^# log:$/m, 'log:');
    expect(parseConfig('gateway.example.yaml', switchedOn, noFiles)).toMatchObject({ kind: 'ok' });
  });

  test('every setting has a meaning, an entry in the reference and a place in the example', () => {
    const settings = everySetting(configShape());
    expect(settings.length).toBeGreaterThan(60);
    for (const { name, shape } of settings) {
      if (shape.const === undefined)
        expect([name, shape.description ?? '']).toEqual([name, expect.stringMatching(/.{5}/)]);
      expect(referenceText()).toContain(`\`${name}\``);
      expect(exampleText()).toMatch(new RegExp(`\\b${name}:`));
    }
  });
});
