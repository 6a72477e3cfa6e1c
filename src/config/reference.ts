import { stringify } from 'yaml';
import * as z from 'zod';
import { noFiles } from './files.ts';
import { configSchema } from './schema.ts';
import { configShape, type Shape } from './shape.ts';

/**
 * Texts made from the schema, so that they cannot say something else than the program does. Pure; a test compares
 * them with the files in the repository.
 */

/** The files that are made from the schema: path from the repository's root, and content. */
export function generatedFiles(): readonly { path: string; text: string }[] {
  return [
    { path: 'config/gateway.example.yaml', text: exampleText() },
    { path: 'config/gateway.schema.json', text: editorSchemaText() },
    { path: 'docs/reference/configuration.md', text: referenceText() },
  ];
}

/** JSON Schema for editors that complete and check YAML. */
export function editorSchemaText(): string {
  const schema = z.toJSONSchema(configSchema(noFiles), {
    io: 'input',
    override: ({ jsonSchema }) => {
      if (jsonSchema.example !== undefined) jsonSchema.examples = [jsonSchema.example as never];
      for (const ours of ['example', 'furtherExamples', 'shown', 'off', 'what', 'like'])
        delete jsonSchema[ours];
    },
  });
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** An example with every setting: what has a default is commented out, with its default. */
export function exampleText(): string {
  const lines = [
    '# yaml-language-server: $schema=gateway.schema.json',
    '#',
    '# Example configuration of the gateway, with every setting. What is commented out shows its default or is optional.',
    '# Paths are relative to this file. Secrets never stand here: { file: path } (mode 0600) or { env: NAME }.',
    '# This file is made from the schema: sealgate config reference --write',
  ];
  for (const [name, shape] of Object.entries(configShape().properties ?? {})) {
    lines.push('', ...settingLines(name, shape, isRequired(configShape(), name), 0));
  }
  return `${lines.join('\n')}\n`;
}

/** The reference page. */
export function referenceText(): string {
  const lines = [
    '# Configuration',
    '',
    '<!-- Made from the schema in src/config/schema.ts: sealgate config reference --write -->',
    '',
    'One YAML file, `config/gateway.yaml` unless `SEALGATE_CONFIG` or `--config` names another. A complete example:',
    '[gateway.example.yaml](../../config/gateway.example.yaml). `sealgate config check` reads the file and shows everything that is',
    'wrong with it, each with line and column.',
    '',
    '- Unknown and repeated keys are errors.',
    '- Paths are relative to the configuration file.',
    '- A secret never stands in the file: `{ file: path }` names a file with one line that only its owner can read (mode 0600),',
    '  `{ env: NAME }` an environment variable. Files with private keys must be closed to group and others too.',
    '- Sizes are octets, or a number with `KiB`, `MiB` or `GiB`.',
    '',
    ...mapSection('', configShape()),
  ];
  return `${lines
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`;
}

// --- the reference page ---

function mapSection(path: string, shape: Shape): string[] {
  const lines = ['| setting | what may stand there | default | meaning |', '|---|---|---|---|'];
  const below: string[] = [];
  for (const [name, setting] of Object.entries(shape.properties ?? {})) {
    const inner = path === '' ? name : `${path}.${name}`;
    const cells = [
      `\`${name}\``,
      kindText(setting),
      defaultText(setting, isRequired(shape, name)),
      cell(setting.description ?? ''),
    ];
    lines.push(`| ${cells.join(' | ')} |`);
    below.push(...innerSections(inner, setting));
  }
  return [...lines, '', ...below];
}

function innerSections(path: string, shape: Shape): string[] {
  if (isSecret(shape) || shape.like !== undefined) return [];
  if (shape.items !== undefined) return innerSections(`${path}[]`, shape.items);
  if (shape.oneOf !== undefined) {
    return shape.oneOf.flatMap((one) => [
      `### \`${path}\` with \`kind: ${String(one.properties?.kind?.const)}\``,
      '',
      one.description ?? '',
      '',
      ...mapSection(path, one),
    ]);
  }
  if (shape.properties === undefined) return [];
  return [`### \`${path}\``, '', shape.description ?? '', '', ...mapSection(path, shape)];
}

function kindText(shape: Shape): string {
  if (isSecret(shape)) return shape.what ?? 'secret';
  if (shape.like !== undefined) return `as \`${shape.like}\``;
  if (shape.const !== undefined) return `\`${String(shape.const)}\``;
  if (shape.enum !== undefined) return shape.enum.map((value) => `\`${String(value)}\``).join(' · ');
  if (shape.items !== undefined) {
    const item = kindText(shape.items);
    return item === 'map' ? 'list of maps' : `list of: ${item}`;
  }
  if (shape.anyOf !== undefined) return 'size';
  if (shape.oneOf !== undefined || shape.properties !== undefined) return 'map';
  switch (shape.type) {
    case 'integer':
      return `whole number${shape.minimum === undefined ? '' : `, ${shape.minimum} to ${shape.maximum}`}`;
    case 'boolean':
      return '`true` · `false`';
    case 'object':
      return 'map of texts';
    default:
      return shape.what ?? 'text';
  }
}

function defaultText(shape: Shape, required: boolean): string {
  if (required) return '**required**';
  if (shape.default === undefined || isPlainMap(shape)) return '';
  return `\`${flow(shape.default)}\``;
}

function cell(text: string): string {
  return text.replace(/\|/g, '\\|').replace(/\n/g, ' ');
}

// --- the example ---

function settingLines(name: string, shape: Shape, required: boolean, depth: number): string[] {
  const indent = '  '.repeat(depth);
  const below = linesBelow(shape, depth + 1);
  if (below === null) {
    const value = shape.const ?? shape.example ?? shape.default ?? shape.enum?.[0] ?? '';
    const off = required || shape.shown === true ? '' : '# ';
    return [...comment(shape.description, indent), `${indent}${off}${name}: ${flow(value)}`];
  }
  const lines = shape.off === true ? below.map((line) => commentedOut(line)) : below;
  // A map of which nothing is said would be no map.
  const off = lines.some((line) => !line.trimStart().startsWith('#')) ? '' : '# ';
  return [...comment(shape.description, indent), `${indent}${off}${name}:`, ...lines];
}

/** What stands indented below a setting's name; null: its value stands beside it. */
function linesBelow(shape: Shape, depth: number): string[] | null {
  if (isSecret(shape) || shape.like !== undefined || shape.items?.like !== undefined) return null;
  if (shape.properties !== undefined) return mapLines(shape, depth);
  if (shape.oneOf !== undefined) {
    const [first, ...others] = shape.oneOf;
    if (first === undefined) return [];
    return [first, ...others]
      .flatMap((one) => [...comment(one.description, '  '.repeat(depth)), ...mapLines(one, depth)])
      .map((line) => commentedOut(line));
  }
  if (shape.items?.oneOf !== undefined) {
    const [first, ...others] = shape.items.oneOf;
    if (first === undefined) return [];
    const further = others.flatMap((one) => itemLines(withoutRepetition(one, first), depth));
    return [...itemLines(first, depth), ...further.map((line) => commentedOut(line))];
  }
  if (shape.items?.properties === undefined) return null;
  const further = (shape.furtherExamples ?? []).map((item) => `${'  '.repeat(depth)}- ${flow(item)}`);
  return [...itemLines(shape.items, depth), ...further];
}

function mapLines(shape: Shape, depth: number): string[] {
  return Object.entries(shape.properties ?? {}).flatMap(([name, setting]) => {
    const over = exampleOver(shape, name);
    const known = over === undefined ? setting : { ...setting, example: over };
    return settingLines(name, known, isRequired(shape, name), depth);
  });
}

/** An alternative without what is optional and was shown with the first one already. */
function withoutRepetition(shape: Shape, first: Shape): Shape {
  const settings = Object.entries(shape.properties ?? {}).filter(
    ([name, { description }]) =>
      isRequired(shape, name) ||
      description === undefined ||
      first.properties?.[name]?.description !== description,
  );
  return { ...shape, properties: Object.fromEntries(settings) };
}

/** A map's own example is for its settings. */
function exampleOver(shape: Shape, name: string): unknown {
  const { example } = shape;
  return typeof example === 'object' && example !== null ? Reflect.get(example, name) : undefined;
}

/** One item of a list of maps: the first line that is not a comment carries the hyphen; where all are optional, the first setting. */
function itemLines(shape: Shape, depth: number): string[] {
  const indent = '  '.repeat(depth);
  const lines = mapLines(shape, depth + 1);
  const said = lines.findIndex((line) => !line.trimStart().startsWith('#'));
  const first = said === -1 ? linesAboveFirst(shape, depth + 1) : said;
  const setting = (lines[first] ?? '').trimStart();
  return [
    ...comment(shape.description, indent),
    ...lines.slice(0, first).map((line) => line.slice(2)),
    said === -1 ? `${indent}# - ${setting.replace(/^# /, '')}` : `${indent}- ${setting}`,
    ...lines.slice(first + 1),
  ];
}

/** How many lines describe the first setting of a map. */
function linesAboveFirst({ properties = {} }: Shape, depth: number): number {
  const [first] = Object.values(properties);
  return comment(first?.description, '  '.repeat(depth)).length;
}

/** The same line as a comment. */
function commentedOut(line: string): string {
  return line.trimStart().startsWith('#') ? line : line.replace(/^( *)/, '$1# ');
}

function comment(text: string | undefined, indent: string): string[] {
  if (text === undefined) return [];
  const width = 110 - indent.length;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > width) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  lines.push(line);
  return lines.map((each) => `${indent}# ${each}`);
}

// --- both ---

function isRequired(shape: Shape, name: string): boolean {
  return shape.required?.includes(name) ?? false;
}

function isSecret(shape: Shape): boolean {
  return shape.anyOf?.some((one) => one.properties?.env !== undefined) ?? false;
}

function isPlainMap(shape: Shape): boolean {
  return shape.properties !== undefined;
}

/** One line of YAML. */
function flow(value: unknown): string {
  const text = stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: true });
  return text.trimEnd();
}
