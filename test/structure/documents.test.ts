import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { noFiles } from '../../src/config/files.ts';
import { configSchema } from '../../src/config/schema.ts';
import { configShape, type Shape } from '../../src/config/shape.ts';
import { ROOT, sourceFiles } from './source-files.ts';

/** What the pages say can be typed and written: each command, setting, log line and example is one of the program's. */

type Page = { name: string; text: string };
const pages: readonly Page[] = [
  { name: 'README.md', text: readFileSync(join(ROOT, 'README.md'), 'utf8') },
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => ({ name, text: readFileSync(join(ROOT, 'docs', name), 'utf8') })),
];

/** What a pattern finds first in brackets, with its page. */
function found(pattern: RegExp): { name: string; one: string }[] {
  return pages.flatMap(({ name, text }) =>
    [...text.matchAll(pattern)].map(([, one = '']) => ({ name, one })),
  );
}

async function program(): Promise<Command> {
  const whole = new Command('sealgate');
  const main = readFileSync(join(ROOT, 'src/main.ts'), 'utf8');
  for (const [, file = '', add = ''] of main.matchAll(/import\('\.\/(commands\/[^']+)'\)\)\.(\w+)/g)) {
    const module = (await import(join(ROOT, 'src', file))) as Record<string, (to: Command) => void>;
    module[add]?.(whole);
  }
  return whole;
}

/** What is wrong with a command line; empty: nothing. */
function wrong(line: string, whole: Command): string {
  // The rest of a line explains it, and what is in brackets may be left out.
  const [typed = ''] = line.split(/ # | \|\| | \| | > |…|;/);
  const words = typed.replace(/[[\]]/g, '').trim().split(/\s+/).slice(1);
  let command = whole;
  for (const word of words) {
    const next = command.commands.find((each) => each.name() === word);
    if (next !== undefined) command = next;
    else if (word.startsWith('-')) {
      const [name = ''] = word.split('=');
      const known = ['-h', '--help', ...command.options.flatMap(({ short, long }) => [short, long])];
      if (!known.includes(name)) return `${command.name()} has no ${name}`;
    } else if (command.commands.length > 0) return `${command.name()} has no ${word}`;
  }
  return '';
}

test('every command line is one', async () => {
  const whole = await program();
  expect(whole.commands.length).toBeGreaterThan(10);
  const lines = [
    ...found(/`sealgate ([^`\n]+)`/g).map(({ name, one }) => ({ name, one: `sealgate ${one}` })),
    ...found(/^ *(?:npx )?(sealgate [a-z][^\n]*)$/gm),
  ].filter(({ one }) => !/^sealgate key store 1 /.test(one));
  expect(lines.length).toBeGreaterThan(100);
  const faults = lines.map(({ name, one }) => ({ name, one, fault: wrong(one, whole) }));
  expect(faults.filter(({ fault }) => fault !== '')).toEqual([]);
});

describe('settings and lines', () => {
  const sections = Object.keys(configShape().properties ?? {});

  /** `a.b.c`, through lists and alternatives. */
  function isSetting(path: string): boolean {
    const steps = path.replaceAll('[]', '').split('.');
    let shapes: Shape[] = [configShape()];
    for (const step of steps) {
      shapes = shapes
        .flatMap(alternatives)
        .flatMap(({ properties }) => (properties?.[step] === undefined ? [] : [properties[step]]));
    }
    return shapes.length > 0;
  }

  function alternatives(shape: Shape): Shape[] {
    const inner = [...(shape.oneOf ?? []), ...(shape.items === undefined ? [] : [shape.items])];
    return [shape, ...inner.flatMap(alternatives)];
  }

  test('every name with dots is a setting, a line of the log, a code, a limit or a file', () => {
    const source = sourceFiles('src').map(({ text }) => text);
    const said = new Set(
      source.flatMap((text) => [...text.matchAll(/['`]([a-z]+\.[a-z-]+)['`]/g)].map(([, one]) => one)),
    );
    const events = readFileSync(join(ROOT, 'src/log/events.ts'), 'utf8').matchAll(/event: '([a-z]+)\./g);
    const kinds = new Set([...sections, ...Array.from(events, ([, kind]) => kind)]);
    const names = found(/`([a-zA-Z]+(?:\[\])?(?:\.[a-zA-Z-]+(?:\[\])?)+)`/g).filter(({ one }) => {
      const [first = ''] = one.split(/[.[]/);
      return kinds.has(first) && !/\.(?:sqlite|lock|ts|json|yaml|md|org|com)$/.test(one);
    });
    expect(names.length).toBeGreaterThan(100);
    expect(names.filter(({ one }) => !said.has(one) && !isSetting(one))).toEqual([]);
  });

  test('every example of a configuration has only settings that there are, with values that they may have', () => {
    const schema = configSchema(noFiles);
    let examples = 0;
    const faults = found(/^ *```yaml\n([\s\S]*?)^ *```$/gm).flatMap(({ name, one }) => {
      const data: unknown = parse(one);
      if (typeof data !== 'object' || data === null || Array.isArray(data)) return [];
      // What is a part of a section says so in the words above it.
      if (!Object.keys(data).every((section) => sections.includes(section))) return [];
      return Object.entries(data).flatMap(([section, value]) => {
        examples++;
        const parsed = Reflect.get(schema.shape, section).safeParse(value);
        // Examples leave out what they are not about.
        const issues = (parsed.error?.issues ?? []).filter(
          ({ code, message }: { code: string; message: string }) =>
            !(code === 'invalid_type' && /received undefined/.test(message)) &&
            !/there is no key of the name/.test(message),
        );
        return issues.map(
          (issue: { path: PropertyKey[]; message: string }) =>
            `${name} ${section}.${issue.path.join('.')}: ${issue.message}`,
        );
      });
    });
    expect(examples).toBeGreaterThan(30);
    expect(faults).toEqual([]);
  });
});
