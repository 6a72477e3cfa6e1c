import { createPrivateKey } from 'node:crypto';
import { expectedForm, formOf, keyFileAlgorithms, sameForm } from './description.ts';
import type { People } from './people.ts';
import { CONTENT } from './sealgate.ts';
import { type Program, Refusal, type Row, type Specification } from './specification.ts';

/** One cell of the table. */
export type Cell =
  | { outcome: 'ok' }
  /** The program does not know it: its own words. */
  | { outcome: 'not-offered'; reason: string }
  /** The engine never makes, or never reads, such a message: why. */
  | { outcome: 'not-ours'; reason: string }
  | { outcome: 'failed'; reason: string };

export type RowResult = { row: Row; cells: { program: string; toUs: Cell; fromUs: Cell }[] };

type Made = { octets: Buffer } | { refusal: string } | { failure: string };

/**
 * Judges one row for all programs.
 *
 * Holds: `ok` is what was made, was what the row says, was read, held what it should, and was refused when changed.
 * A program that refuses ours is believed to know no such message only if it also refuses those of the others, its own
 * among them.
 */
export async function judge(
  row: Row,
  ours: Program,
  all: readonly Program[],
  people: People,
): Promise<RowResult> {
  const programs = all.filter(({ kinds }) => kinds.includes(row.message.kind));
  const [our, ...theirs] = await Promise.all([
    row.neverWritten === undefined ? made(ours, row) : { refusal: row.neverWritten },
    ...programs.map((program) => made(program, row)),
  ]);
  const cells = programs.map(async (program, i) => {
    const its = theirs[i] ?? { refusal: 'nothing' };
    const others = theirs.flatMap((one, at) =>
      'octets' in one ? [{ octets: one.octets, isOwn: at === i }] : [],
    );
    return {
      program: program.name,
      toUs: await toUs(row, its, ours, people),
      fromUs: await fromUs(row, our, program, others, people),
    };
  });
  return { row, cells: await Promise.all(cells) };
}

async function toUs(row: Row, its: Made, ours: Program, people: People): Promise<Cell> {
  if ('failure' in its) return { outcome: 'failed', reason: its.failure };
  if ('refusal' in its) return { outcome: 'not-offered', reason: its.refusal };
  const problem = await reading(ours, row.message, its.octets, people);
  if (row.neverRead !== undefined) {
    if (problem !== null) return { outcome: 'not-ours', reason: row.neverRead };
    const form = formOf(its.octets, row.message);
    // What we read is what we know: it made something else than it was asked for.
    if (form !== expectedForm(row.message)) return { outcome: 'not-offered', reason: `it makes ${form}` };
    return { outcome: 'failed', reason: 'read, though the table says it never is' };
  }
  if (problem?.missing === true) return { outcome: 'not-offered', reason: problem.words };
  return problem === null ? { outcome: 'ok' } : { outcome: 'failed', reason: problem.words };
}

async function fromUs(
  row: Row,
  our: Made,
  program: Program,
  others: readonly { octets: Buffer; isOwn: boolean }[],
  people: People,
): Promise<Cell> {
  if (row.neverWritten !== undefined) return { outcome: 'not-ours', reason: row.neverWritten };
  if (!('octets' in our)) {
    return { outcome: 'failed', reason: `we: ${'refusal' in our ? our.refusal : our.failure}` };
  }
  const problem = await reading(program, row.message, our.octets, people);
  if (problem === null) return { outcome: 'ok' };
  if (problem.certain) return { outcome: 'failed', reason: problem.words };
  const comparable = others.filter(({ octets }) => isComparable(row.message, octets, our.octets));
  for (const { octets } of comparable) {
    if ((await reading(program, row.message, octets, people)) === null) {
      return { outcome: 'failed', reason: `${problem.words}; it reads another program's` };
    }
  }
  const control =
    comparable.length === 0
      ? 'no other program here writes one'
      : `refuses ${comparable.length} by other programs too${comparable.some(({ isOwn }) => isOwn) ? ', its own among them' : ''}`;
  return { outcome: 'not-offered', reason: `${problem.words} (${control})` };
}

/** What programs write by themselves differs; of key files those serve that are protected in the same way. */
function isComparable(message: Specification, one: Buffer, other: Buffer): boolean {
  return message.kind !== 'key-file' || keyFileAlgorithms(one) === keyFileAlgorithms(other);
}

async function made(program: Program, { message, neverRead }: Row): Promise<Made> {
  try {
    const octets = await program.make(message);
    const expected = expectedForm(message);
    // What we do not read we cannot describe either.
    if (expected === null || neverRead !== undefined) return { octets };
    const form = formOf(octets, message);
    return sameForm(expected, form) ? { octets } : { refusal: `it makes ${form}` };
  } catch (error) {
    if (error instanceof Refusal) return { refusal: error.message };
    return { failure: error instanceof Error ? `${error.name} ${error.message}` : String(error) };
  }
}

type Problem = {
  words: string;
  /** Not a refusal: something that must never be. */
  certain: boolean;
  /** What the row is about is not in the message. */
  missing?: boolean;
};

/** null: read as it should be. */
async function reading(
  program: Program,
  message: Specification,
  octets: Buffer,
  people: People,
): Promise<Problem | null> {
  try {
    const found = await program.read(message, octets, CONTENT);
    if (!isRight(message, found, people)) return { words: 'it reads something else', certain: false };
  } catch (error) {
    if (!(error instanceof Refusal)) return { words: String(error), certain: true };
    return { words: error.message, certain: false, missing: error.name === 'AttributeMissing' };
  }
  if (message.kind !== 'signed') return null;
  // A program that reads everything has verified nothing.
  const changed = Buffer.from(octets);
  const at = octets.indexOf(CONTENT.subarray(0, 20));
  if (at >= 0) changed.write('X', at);
  else if (message.detached !== true) return { words: 'content not found', certain: true };
  try {
    const content = Buffer.from(CONTENT);
    content.write('X');
    await program.read(message, changed, content);
    return { words: 'it takes a changed message for a good one', certain: true };
  } catch (error) {
    if (error instanceof Refusal) return null;
    return { words: String(error), certain: true };
  }
}

function isRight(message: Specification, found: Buffer, people: People): boolean {
  switch (message.kind) {
    case 'signed':
    case 'enveloped':
    case 'compressed':
      return found.equals(CONTENT);
    case 'certificates-only':
      return found.length === 0;
    case 'mail':
      return message.layers.includes('certificates-only') || lines(found).includes(lines(CONTENT));
    case 'key-file': {
      const key = createPrivateKey({ key: found, format: 'der', type: 'pkcs8' });
      return key.equals(people.person(message.key).privateKey);
    }
  }
}

/** The text without its header, which programs write anew, and in one form of line ends. */
function lines(octets: Buffer): string {
  const text = octets.toString('latin1').replaceAll('\r\n', '\n');
  return octets === CONTENT ? text.slice(text.indexOf('\n\n') + 2).trimEnd() : text;
}
