import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { noFiles } from '../../src/config/files.ts';
import { type LoadedConfig, parseConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { exampleText } from '../../src/config/reference.ts';
import { configShape, type Shape } from '../../src/config/shape.ts';

/** Whatever comes in: no exception, and every problem has a place that is in the file and a sentence. */
function holds(text: string, loaded: LoadedConfig): void {
  const problems = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  if (loaded.kind === 'invalid') expect(problems.some(({ severity }) => severity === 'error')).toBe(true);
  const lines = text.split(/\r\n|\n|\r/).length;
  for (const problem of problems) {
    expect(problem.line).toBeGreaterThanOrEqual(1);
    expect(problem.line).toBeLessThanOrEqual(lines);
    expect(problem.column).toBeGreaterThanOrEqual(1);
    expect(problem.text.length).toBeGreaterThan(5);
    expect(formatProblem(problem)).not.toMatch(/\p{Cc}/u);
  }
}

function parse(text: string): LoadedConfig {
  return parseConfig('gateway.yaml', text, noFiles);
}

/** Mostly right documents: the schema's own keys with arbitrary values beside fitting ones. */
function like(shape: Shape): fc.Arbitrary<unknown> {
  const anything = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(fc.string(), { maxLength: 3 }),
  );
  const fitting = (): fc.Arbitrary<unknown> => {
    const branches = shape.oneOf ?? shape.anyOf;
    if (branches !== undefined) return fc.oneof(...branches.map(like));
    if (shape.const !== undefined) return fc.constant(shape.const);
    if (shape.enum !== undefined) return fc.constantFrom(...shape.enum);
    if (shape.items !== undefined) return fc.array(like(shape.items), { maxLength: 3 });
    if (shape.properties !== undefined) {
      const inner = Object.entries(shape.properties).map(([name, one]) => [name, like(one)] as const);
      return fc.record(Object.fromEntries(inner), { requiredKeys: [] });
    }
    if (shape.example !== undefined) return fc.constant(shape.example);
    return shape.type === 'integer' ? fc.integer({ min: -1, max: 70_000 }) : fc.string();
  };
  return fc.oneof({ weight: 12, arbitrary: fitting() }, { weight: 1, arbitrary: anything });
}

describe('the loader meets', () => {
  test('arbitrary text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => holds(text, parse(text))),
      { numRuns: 300 },
    );
  });

  test('arbitrary YAML punctuation', () => {
    const unit = fc.constantFrom(
      ...[
        'a',
        'keys',
        ':',
        ': ',
        '- ',
        '\n',
        '  ',
        '[',
        ']',
        '{',
        '}',
        ',',
        '&a ',
        '*a',
        '!!x ',
        '"',
        "'",
        '|',
        '>',
        '#',
        '?',
        '<<',
        '---',
        '\t',
        '%',
        '\r\n',
      ],
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 40 }), (parts) => {
        const text = parts.join('');
        holds(text, parse(text));
      }),
      { numRuns: 1000 },
    );
  });

  test('documents that are nearly right', () => {
    fc.assert(
      fc.property(like(configShape()), (data) => {
        const text = stringify(data);
        holds(text, parse(text));
      }),
      { numRuns: 300 },
    );
  });

  test('the example with one line damaged', () => {
    const lines = exampleText().split('\n');
    fc.assert(
      fc.property(fc.nat(lines.length - 1), fc.string({ maxLength: 30 }), (at, damage) => {
        const text = lines.with(at, (lines[at] ?? '').slice(0, 12) + damage).join('\n');
        holds(text, parse(text));
      }),
      { numRuns: 300 },
    );
  });

  test('names of the language itself as keys', () => {
    for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      const loaded = parse(`${key}: { hostname: a.example.org }\n`);
      expect(loaded).toMatchObject({ kind: 'invalid' });
    }
    expect({}).not.toHaveProperty('hostname');
  });

  test('deep nesting', () => {
    for (const text of ['['.repeat(50_000), `${'{a: '.repeat(20_000)}`, '- '.repeat(20_000)]) {
      const loaded = parse(text);
      expect(loaded.kind).toBe('invalid');
      holds(text, loaded);
    }
  });

  test('anchors that contain themselves', () => {
    const text = 'keys: &a [ *a ]\npolicy: &b { rules: [ *b ] }\n';
    holds(text, parse(text));
  });
});
