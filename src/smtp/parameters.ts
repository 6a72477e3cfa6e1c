import type { Parameter } from './envelope.ts';
import type { Extensions } from './extensions.ts';
import { type Reply, reply } from './reply.ts';

/**
 * Parameters of MAIL and RCPT (RFC 5321 §4.1.2; RFC 6531 §3.3 lets UTF-8 into values):
 *
 *     esmtp-param   = esmtp-keyword ["=" esmtp-value]
 *     esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 *     esmtp-value   = 1*(%d33-60 / %d62-126)
 */
const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e\u{a0}-\u{10ffff}]+))?$/u;

/** The parameters of `text` (without the SP before the first), or null where they are malformed or one stands twice. */
export function readParameters(text: string): readonly Parameter[] | null {
  const parameters: Parameter[] = [];
  for (const word of text.split(' ')) {
    const match = PARAMETER.exec(word);
    const keyword = match?.[1]?.toUpperCase();
    if (match === null || keyword === undefined) return null;
    if (parameters.some((other) => other.keyword === keyword)) return null;
    parameters.push({ keyword, value: match[2] ?? null });
  }
  return parameters;
}

/** With the SP before each, as they stand in a command. */
export function writeParameters(parameters: readonly Parameter[]): string {
  let text = '';
  for (const { keyword, value } of parameters)
    text += value === null ? ` ${keyword}` : ` ${keyword}=${value}`;
  return text;
}

type Meaning = {
  /** EHLO keyword of the extension that brings the parameter. */
  extension: string;
  /** What its value looks like; null: it has none. */
  value: RegExp | null;
};

// xtext of RFC 3461 §4.
const XTEXT = '(?:[\\x21-\\x2a\\x2c-\\x3c\\x3e-\\x7e]|\\+[0-9A-F]{2})';

const MAIL: ReadonlyMap<string, Meaning> = new Map([
  // RFC 1870 §4.
  ['SIZE', { extension: 'SIZE', value: /^[0-9]{1,15}$/ }],
  // RFC 6152 §2; BINARYMIME is not offered: a message leaves by DATA.
  ['BODY', { extension: '8BITMIME', value: /^(?:7BIT|8BITMIME)$/i }],
  // RFC 6531 §3.4.
  ['SMTPUTF8', { extension: 'SMTPUTF8', value: null }],
  // RFC 8689 §2.
  ['REQUIRETLS', { extension: 'REQUIRETLS', value: null }],
  // RFC 4954 §5.
  ['AUTH', { extension: 'AUTH', value: new RegExp(`^(?:<>|${XTEXT}+)$`) }],
  // RFC 3461 §4.3 and §4.4.
  ['RET', { extension: 'DSN', value: /^(?:FULL|HDRS)$/i }],
  ['ENVID', { extension: 'DSN', value: new RegExp(`^(?=.{1,100}$)${XTEXT}+$`) }],
]);

const RCPT: ReadonlyMap<string, Meaning> = new Map([
  // RFC 3461 §4.1 and §4.2; the type utf-8 is RFC 6533 §3.
  [
    'NOTIFY',
    { extension: 'DSN', value: /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})$/i },
  ],
  [
    'ORCPT',
    {
      extension: 'DSN',
      value: new RegExp(
        `^(?=.{1,500}$)(?:[Uu][Tt][Ff]-8;[\\x21-\\x3c\\x3e-\\x7e\\u{a0}-\\u{10ffff}]+|[A-Za-z0-9!#$%&'*+\\-/?^_\`{|}~.]+;${XTEXT}+)$`,
        'u',
      ),
    },
  ],
]);

/**
 * Refuses what the upstream would not know or what is malformed; null where all parameters may be passed on.
 * 555 is RFC 5321 §4.1.1.11 (parameters not recognized), 501 a bad value of a known one.
 */
export function refusedParameter(
  verb: 'MAIL' | 'RCPT',
  parameters: readonly Parameter[],
  upstream: Extensions,
): Reply | null {
  const table = verb === 'MAIL' ? MAIL : RCPT;
  for (const { keyword, value } of parameters) {
    const meaning = table.get(keyword);
    if (meaning === undefined || !upstream.has(meaning.extension)) {
      return reply(555, '5.5.4', `The parameter ${keyword} of ${verb} is not supported`);
    }
    const fits = meaning.value === null ? value === null : value !== null && meaning.value.test(value);
    if (!fits) return reply(501, '5.5.4', `The value of the parameter ${keyword} is malformed`);
  }
  return null;
}

export function parameterValue(parameters: readonly Parameter[], keyword: string): string | null {
  return parameters.find((parameter) => parameter.keyword === keyword)?.value ?? null;
}

export function hasParameter(parameters: readonly Parameter[], keyword: string): boolean {
  return parameters.some((parameter) => parameter.keyword === keyword);
}
