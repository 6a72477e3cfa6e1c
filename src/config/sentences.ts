import type { z } from 'zod';

/**
 * What zod found, in words for people. A value from the file is never quoted: it may be a secret in the wrong place.
 * Schema declarations may bring their own sentence; this one fills in where they do not.
 */
export const sentence: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type': {
      const expected = kindText(issue.expected);
      if (issue.input === undefined) return `this is missing: ${expected} is expected`;
      return `${expected} is expected, not ${kindOf(issue.input)}`;
    }
    case 'invalid_value':
      return choices(issue.values.map(String), issue.input);
    case 'invalid_union': {
      const discriminator = issue.discriminator;
      const options = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [];
      if (discriminator === undefined || options.length === 0) return 'none of the allowed forms fits';
      const input = issue.input;
      const written =
        typeof input === 'object' && input !== null ? Reflect.get(input, discriminator) : undefined;
      return written === undefined
        ? `this is missing: ${alternatives(options)} is expected`
        : choices(options, written);
    }
    case 'too_small':
      if (issue.origin === 'string')
        return issue.minimum === 1 ? 'this is empty' : `at least ${issue.minimum} characters are expected`;
      return `at least ${issue.minimum} is expected`;
    case 'too_big':
      if (issue.origin === 'string') return `at most ${issue.maximum} characters are allowed`;
      return `at most ${issue.maximum} is allowed`;
    case 'invalid_key':
      return 'this name is not allowed here';
    default:
      return 'this value is not allowed here';
  }
};

/** For one unknown key among the allowed ones. */
export function unknownKey(key: string, allowed: readonly string[]): string {
  const near = nearest(key, allowed);
  if (near !== null) return `there is no "${shortened(key)}" here: did you mean "${near}"?`;
  if (allowed.length === 0) return `there is no "${shortened(key)}" here`;
  return `there is no "${shortened(key)}" here: allowed are ${allowed.join(', ')}`;
}

/** The allowed word that a slip of the pen makes `word`, or null. */
export function nearest(word: string, allowed: readonly string[]): string | null {
  const plain = (text: string) => text.toLowerCase().replace(/[-_ ]/g, '');
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of allowed) {
    const distance = editDistance(plain(word).slice(0, 64), plain(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best !== null && bestDistance <= Math.max(1, Math.floor(best.length / 3)) ? best : null;
}

/** `a, b or c`. */
export function alternatives(words: readonly string[]): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function choices(allowed: readonly string[], written: unknown): string {
  const near = typeof written === 'string' ? nearest(written, allowed) : null;
  const question = near === null ? '' : `: did you mean ${near}?`;
  return `${alternatives(allowed)} is expected${question}`;
}

function kindText(expected: string): string {
  switch (expected) {
    case 'object':
    case 'record':
      return 'a map (key: value)';
    case 'array':
      return 'a list';
    case 'string':
      return 'text';
    case 'int':
      return 'a whole number';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'true or false';
    default:
      return expected;
  }
}

function kindOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'string':
      return 'text';
    case 'number':
      return Number.isInteger(value) ? 'a whole number' : 'a number';
    case 'boolean':
      return 'true or false';
    case 'object':
      return 'a map';
    default:
      return 'something else';
  }
}

function shortened(key: string): string {
  return key.length <= 64 ? key : `${key.slice(0, 64)}…`;
}

/** Levenshtein's distance. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
