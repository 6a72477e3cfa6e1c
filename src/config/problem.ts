/**
 * One thing that is wrong (or worth a second look) in a configuration file. Never carries the value of a secret:
 * a value is quoted only where the schema lists the values that are allowed.
 */
export type ConfigProblem = {
  file: string;
  /** 1-based. */
  line: number;
  /** 1-based, in characters. */
  column: number;
  /** `warning`: the file is used all the same. */
  severity: 'error' | 'warning';
  /** Where in the file by names, `policy.rules[0].sign`; empty for the file as a whole. */
  path: string;
  /** What is wrong and what is allowed. */
  text: string;
};

/** One line in the form that editors and terminals make clickable. */
export function formatProblem(problem: ConfigProblem): string {
  const place = `${problem.file}:${problem.line}:${problem.column}`;
  const subject = problem.path === '' ? '' : `${problem.path}: `;
  return printable(`${place}: ${problem.severity}: ${subject}${problem.text}`);
}

/** `['policy', 'rules', 0]` as `policy.rules[0]`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? String(step) : `.${String(step)}`;
  }
  return text;
}

/** A key in the file may hold anything; a terminal must not obey it. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16)}}`;
  });
}
