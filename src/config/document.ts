import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml';

/**
 * A YAML file that remembers where everything stands. Duplicate keys, unknown tags, several documents and
 * alias bombs are faults; merge keys (`<<`) are not understood.
 */
export type YamlFault = { line: number; column: number; text: string };

export type YamlDocument = {
  /** Plain data; null where the file is too broken to give any. */
  data: unknown;
  faults: readonly YamlFault[];
  /**
   * Line and column, 1-based, of the value at `path`, or of the nearest thing around it that exists.
   * With `key`, of that key in the map at `path`.
   */
  position(path: readonly PropertyKey[], key?: string): { line: number; column: number };
};

/** A configuration is written by people. Characters. */
const LARGEST_FILE = 1024 * 1024;

/** Uses of anchors, counted with what they expand to. */
const MOST_ALIASES = 100;

/** Never throws: whatever is wrong is a fault with its place. */
export function readYaml(text: string): YamlDocument {
  if (text.length > LARGEST_FILE) {
    return broken({ line: 1, column: 1, text: `the file is larger than ${LARGEST_FILE} characters` });
  }
  const replaced = text.indexOf('�');
  if (replaced >= 0) {
    return broken({ ...placeIn(text, replaced), text: 'this is not UTF-8 text' });
  }
  const lines = new LineCounter();
  const faults: YamlFault[] = [];
  let document: ReturnType<typeof parseDocument>;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2' });
  } catch (error) {
    // Nesting beyond the stack of the parser ends here.
    return broken({ line: 1, column: 1, text: `the file cannot be read as YAML: ${reasonOf(error)}` });
  }
  const placeOf = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  for (const fault of [...document.errors, ...document.warnings]) {
    faults.push({ ...placeOf(fault.pos[0]), text: yamlSentence(fault.code, fault.message) });
  }
  let firstAlias = 0;
  visit(document, {
    Alias(_, alias) {
      firstAlias ||= startOf(alias);
      if (alias.resolve(document) === undefined) {
        faults.push({
          ...placeOf(startOf(alias)),
          text: 'this alias (*name) has no anchor (&name) before it',
        });
      }
    },
  });
  let data: unknown = null;
  if (faults.length === 0) {
    try {
      data = document.toJS({ maxAliasCount: MOST_ALIASES });
    } catch (error) {
      faults.push({ ...placeOf(firstAlias), text: `anchors and aliases: ${reasonOf(error)}` });
    }
  }
  const root = document.contents as Node | null;
  const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);

  function position(path: readonly PropertyKey[], key?: string) {
    let place: unknown = root;
    let node: unknown = resolve(root);
    for (const step of path) {
      const next = child(node, step);
      if (next === null) return placeOf(startOf(place));
      // A value without a node of its own (`key:` and nothing) stands where its key stands.
      place = startOf(next.value) > 0 || next.key === null ? next.value : next.key;
      node = resolve(next.value);
    }
    if (key !== undefined) {
      const named = child(node, key);
      if (named !== null && named.key !== null) return placeOf(startOf(named.key));
    }
    return placeOf(startOf(place));
  }

  return { data, faults, position };
}

function broken(fault: YamlFault): YamlDocument {
  return { data: null, faults: [fault], position: () => ({ line: fault.line, column: fault.column }) };
}

function child(node: unknown, step: PropertyKey): { key: unknown; value: unknown } | null {
  if (isMap(node)) {
    for (const pair of node.items) {
      if (isPair(pair) && isScalar(pair.key) && String(pair.key.value) === String(step)) {
        return { key: pair.key, value: pair.value };
      }
    }
  }
  if (isSeq(node) && typeof step === 'number') {
    const value = node.items[step];
    if (value !== undefined) return { key: null, value };
  }
  return null;
}

function startOf(node: unknown): number {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return 0;
  const start: unknown = node.range[0];
  return typeof start === 'number' ? start : 0;
}

function placeIn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1) ?? '').length + 1 };
}

/** The library's message may quote the file, and so a secret written where none belongs: quotes are cut off. */
function yamlSentence(code: string, message: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'this key is here twice: keep one';
    case 'MULTIPLE_DOCS':
      return 'the file holds several YAML documents: keep one';
    case 'TAG_RESOLVE_FAILED':
      return 'YAML tags (!name) are not understood here';
    case 'MISSING_CHAR':
      return 'something is missing before this: a closing quote or bracket, or a comma';
    case 'TAB_AS_INDENT':
      return 'indentation is made of blanks, not tabs';
    case 'BAD_INDENT':
      return 'the indentation does not fit the lines around it, or a bracket or quote before it is not closed';
    default:
      return `this is not YAML: ${message.replace(/["'`].*$/s, '').replace(/[:\s]+$/, '')}`;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return 'it is nested too deeply';
  if (error instanceof ReferenceError) return 'they expand to too much';
  return 'it is not understood';
}
