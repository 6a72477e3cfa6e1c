import { limits } from '../limits.ts';

/** A policy of MTA-STS as its domain publishes it (RFC 8461 §3.2). Pure. */
export type StsPolicy = {
  mode: 'enforce' | 'testing' | 'none';
  /** Names of mail servers with A-labels in lower case, or `*.name`: one label more. */
  mx: readonly string[];
  maxAgeSeconds: number;
};

/** §3.2: about a year. */
const LONGEST_SECONDS = 31_557_600;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/;
const PATTERN = /^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** null: it is none, as it stands in no cache and protects nobody. */
export function readStsPolicy(octets: Buffer): StsPolicy | null {
  if (octets.length > limits.routing.policyOctets) return null;
  const lines = octets
    .toString('latin1')
    .split('\n')
    .map((line) => withoutBlanks(line.endsWith('\r') ? line.slice(0, -1) : line))
    .filter((line) => line !== '');
  const fields = lines.map(fieldIn);
  if (fields.length === 0 || fields.some((field) => field === null)) return null;
  // Of what may be there once, the first counts.
  const first = (name: string) => fields.find((field) => field?.name === name)?.value ?? null;
  const mode = modeOf(first('mode'));
  const maxAge = first('max_age');
  if (first('version') !== 'STSv1' || mode === null || maxAge === null || !/^\d{1,10}$/.test(maxAge)) {
    return null;
  }
  const mx = fields.flatMap((field) => (field?.name === 'mx' ? [field.value.toLowerCase()] : []));
  if (mx.length > limits.routing.policyNames || !mx.every((name) => name.length <= 255 && PATTERN.test(name)))
    return null;
  if (mx.length === 0 && mode !== 'none') return null;
  return { mode, mx, maxAgeSeconds: Math.min(Number(maxAge), LONGEST_SECONDS) };
}

/** null: it is none. */
function fieldIn(line: string): { name: string; value: string } | null {
  const colon = line.indexOf(':');
  if (colon === -1 || /[\x00-\x08\x0a-\x1f\x7f]/.test(line)) return null;
  const name = withoutBlanks(line.slice(0, colon));
  const value = withoutBlanks(line.slice(colon + 1));
  return NAME.test(name) && value !== '' ? { name, value } : null;
}

/** Not by a pattern: what would be taken from the end costs it the square of all blanks. */
function withoutBlanks(text: string): string {
  let [from, to] = [0, text.length];
  while (from < to && isBlank(text[from])) from++;
  while (to > from && isBlank(text[to - 1])) to--;
  return text.slice(from, to);
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}

function modeOf(text: string | null): StsPolicy['mode'] | null {
  return text === 'enforce' || text === 'testing' || text === 'none' ? text : null;
}

/** §4.1. @param host lower case */
export function isNamedBy({ mx }: StsPolicy, host: string): boolean {
  const dot = host.indexOf('.');
  return mx.some((name) =>
    name.startsWith('*.') ? dot > 0 && host.slice(dot) === name.slice(1) : name === host,
  );
}
