import { isAscii } from 'node:buffer';
import { limits } from '../limits.ts';
import { isSafe } from './canonical.ts';
import type { Entity, HeaderField, Range } from './entity.ts';
import { newTreeBudget, type TreeBudget, tooComplex } from './entity-scanner.ts';
import { boundaryOf } from './entity-tree.ts';
import type { HazardSurvey } from './hazards.ts';
import { fieldsNamed } from './header.ts';
import { cannotMakeSafe, safeField } from './header-encoding.ts';

/**
 * What has to be done to an entity so that it is fit for signing (RFC 8551 §3.1), piece by piece.
 *
 * The plan is a generator: it yields questions about octets, whoever has these answers, and goes on. So the same rules serve an
 * entity in memory and one in a file.
 */

/** What becomes of a range of the original. */
export type Form =
  | 'as-is'
  | 'canonical'
  /** Canonical, without the blanks at line ends. */
  | 'trimmed'
  /** Of text, whose line ends may be of any kind. */
  | 'quoted-printable'
  | 'base64'
  | 'base64-of-canonical'
  /** Of what is in that encoding already, and not safe. */
  | 'repaired-quoted-printable'
  | 'rewrapped-base64';

/** How long a range becomes; `octets` where whoever answered had to make them for that. */
export type Conversion = { length: number; octets: Buffer | null };

export type SafePiece =
  | { kind: 'octets'; octets: Buffer }
  | { kind: 'range'; range: Range; form: Form; conversion: Conversion };

/** `answer` is set before the plan goes on. */
type Asked<Ask, T> = Ask & { range: Range; answer: T | null };
/** A few octets: a header, the start of a line. */
type OctetsQuestion = Asked<{ ask: 'octets' }, Buffer>;
/** Of a message inside a message. */
type EntityQuestion = Asked<{ ask: 'entity'; budget: TreeBudget }, Entity>;
type SurveyQuestion = Asked<{ ask: 'survey'; form: 'as-is' | 'trimmed' }, HazardSurvey>;
type ConversionQuestion = Asked<{ ask: 'conversion'; form: Form }, Conversion>;
export type Question = OctetsQuestion | EntityQuestion | SurveyQuestion | ConversionQuestion;

type Plan<T> = Generator<Question, T, void>;

/**
 * @param answerNow answers questions without waiting, so that the generator need not stop; absent: nobody can
 * @throws SealgateError `mail.cannot-make-safe`, `mail.too-complex`, `mail.header-too-large`
 */
export function* planSafe(range: Range, answerNow: (question: Question) => void = LATER): Plan<SafePiece[]> {
  const planner = new Planner(answerNow);
  const root = planner.read(range);
  if (root.answer === null) yield root;
  yield* planner.entity(answered(root), 0);
  return planner.pieces;
}

/**
 * The plan for an entity that has been read already and gets another header, whose octets are not in the original: `root` is
 * read from the original, `header` stands in the place of its own.
 *
 * @throws as `planSafe`
 */
export function* planSafeUnder(
  header: RootHeader,
  root: Entity,
  answerNow: (question: Question) => void = LATER,
): Plan<SafePiece[]> {
  const planner = new Planner(answerNow, { ...header, of: root });
  yield* planner.entity(root, 0);
  return planner.pieces;
}

/** CRLF, with the empty line. Ranges of `fields` count in `octets`. */
export type RootHeader = { octets: Buffer; fields: readonly HeaderField[] };

const LATER = (): void => undefined;

const EMPTY_LINE: SafePiece = { kind: 'octets', octets: Buffer.from('\r\n') };

class Planner {
  readonly pieces: SafePiece[] = [];
  readonly #budget = newTreeBudget();
  readonly #answerNow: (question: Question) => void;
  readonly #other: (RootHeader & { of: Entity }) | null;

  constructor(answerNow: (question: Question) => void, other: (RootHeader & { of: Entity }) | null = null) {
    this.#answerNow = answerNow;
    this.#other = other;
    // What messages inside are bounded by together with the entity they are in.
    if (other !== null) spend(this.#budget, other.of, other.octets.length, other.fields.length);
  }

  read(range: Range): EntityQuestion {
    return this.#asked({ ask: 'entity', range, budget: this.#budget, answer: null });
  }

  #asked<T extends Question>(question: T): T {
    this.#answerNow(question);
    return question;
  }

  #octets(range: Range): OctetsQuestion {
    return this.#asked({ ask: 'octets', range, answer: null });
  }

  #survey(range: Range, form: 'as-is' | 'trimmed' = 'as-is'): SurveyQuestion {
    return this.#asked({ ask: 'survey', range, form, answer: null });
  }

  #convert(range: Range, form: Form): ConversionQuestion {
    return this.#asked({ ask: 'conversion', range, form, answer: null });
  }

  *entity(entity: Entity, depth: number): Plan<void> {
    if (depth > limits.mail.depth) throw tooComplex('messages nested too deep');
    const { type, subtype } = entity.mediaType;
    if (type === 'multipart' && subtype === 'signed') {
      const header = this.#otherHeaderOf(entity);
      const range = header === null ? entity.range : entity.body;
      if (header !== null) this.pieces.push({ kind: 'octets', octets: header.octets });
      const found = this.#survey(range);
      if (found.answer === null) yield found;
      this.#canonical(range, answered(found).bareLineFeeds);
    } else if (entity.parts.length > 0) {
      yield* this.#multipart(entity, depth);
    } else if (type === 'message' && (subtype === 'rfc822' || subtype === 'global') && isIdentity(entity)) {
      // RFC 2046 §5.2.1: a message may only be 7bit, 8bit or binary, so what is inside it is made safe.
      yield* this.#header(entity, isSevenBit(entity) ? null : '7bit');
      const inside = this.read(entity.body);
      if (inside.answer === null) yield inside;
      yield* this.entity(answered(inside), depth + 1);
    } else {
      yield* this.#leaf(entity);
    }
  }

  *#multipart(entity: Entity, depth: number): Plan<void> {
    const boundary = boundaryOf(entity.mediaType) ?? '';
    yield* this.#header(entity, isSevenBit(entity) ? null : '7bit');
    let from = entity.body.start;
    let glue = `--${boundary}\r\n`;
    for (const part of entity.parts) {
      yield* this.#between({ start: from, end: part.range.start }, glue);
      yield* this.entity(part, depth + 1);
      from = part.range.end;
      glue = `\r\n--${boundary}\r\n`;
    }
    const tail = { start: from, end: entity.range.end };
    const close = `--${boundary}--`;
    const lineStart = this.#octets({ start: from, end: Math.min(tail.end, from + close.length + 2) });
    if (lineStart.answer === null) yield lineStart;
    if (startsWithClose(answered(lineStart), close)) {
      yield* this.#between(tail, `\r\n${close}\r\n`);
    } else this.#write(`\r\n${close}\r\n`);
  }

  /** Boundary lines with preamble or epilogue. Those are nobody's content: unsafe ones go (RFC 2046 §5.1.1). */
  *#between(range: Range, replacement: string): Plan<void> {
    const found = this.#survey(range);
    if (found.answer === null) yield found;
    const { canonical, bareLineFeeds } = answered(found);
    if (isSafe(canonical)) this.#canonical(range, bareLineFeeds);
    else this.#write(replacement);
  }

  *#leaf(entity: Entity): Plan<void> {
    const { body } = entity;
    switch (entity.transferEncoding) {
      case '7bit':
      case '8bit':
      case 'binary':
        return yield* this.#identityLeaf(entity);
      case 'quoted-printable':
        return yield* this.#encodedLeaf(entity, 'repaired-quoted-printable');
      case 'base64':
        return yield* this.#encodedLeaf(entity, 'rewrapped-base64');
      default: {
        const found = this.#survey(body);
        if (found.answer === null) yield found;
        const { canonical, bareLineFeeds } = answered(found);
        if (canonical.eightBit || canonical.bareLineEnd)
          throw cannotMakeSafe('an encoding that is not known');
        yield* this.#header(entity, null);
        this.#canonical(body, bareLineFeeds);
      }
    }
  }

  *#encodedLeaf(entity: Entity, repaired: Form): Plan<void> {
    const found = this.#survey(entity.body);
    if (found.answer === null) yield found;
    const { canonical, bareLineFeeds } = answered(found);
    yield* this.#header(entity, null);
    if (isSafe(canonical)) this.#canonical(entity.body, bareLineFeeds);
    else yield* this.#converted(entity.body, repaired);
  }

  *#identityLeaf(entity: Entity): Plan<void> {
    const { body } = entity;
    const asItWas = isSevenBit(entity) ? null : '7bit';
    const question = this.#survey(body);
    if (question.answer === null) yield question;
    const found = answered(question);
    const encoded = yield* this.#encodingOf(entity, found);
    yield* this.#header(entity, encoded.encoding ?? asItWas);
    switch (encoded.form) {
      case 'as-is':
        return this.#range(body, 'as-is', asIs(body));
      case 'canonical':
        return this.#canonical(body, found.bareLineFeeds);
      default:
        if (encoded.conversion === undefined) return yield* this.#converted(body, encoded.form);
        return this.#range(body, encoded.form, encoded.conversion);
    }
  }

  *#converted(range: Range, form: Form): Plan<void> {
    const conversion = this.#convert(range, form);
    if (conversion.answer === null) yield conversion;
    this.#range(range, form, answered(conversion));
  }

  /** How a leaf that is not encoded has to be written. */
  *#encodingOf(entity: Entity, found: HazardSurvey): Plan<EncodedLeaf> {
    const { body } = entity;
    const { type } = entity.mediaType;
    const wide = /^utf-?(16|32)|^ucs-?[24]/i.test(entity.mediaType.parameters.get('charset') ?? '');
    // In a binary part that is no text, LF is an octet like any other.
    const asData = entity.transferEncoding === 'binary' && (type !== 'text' || wide);
    const unchanged: EncodedLeaf = { encoding: null, form: asData ? 'as-is' : 'canonical' };
    const hazards = asData ? found.hazards : found.canonical;
    if (isSafe(hazards)) return unchanged;
    if (!entity.declared && fieldsNamed(entity.fields, 'content-type').length > 0) {
      if (hazards.eightBit || hazards.bareLineEnd) throw cannotMakeSafe('a Content-Type that cannot be read');
      return unchanged;
    }
    if (type === 'multipart') {
      if (hazards.eightBit || hazards.bareLineEnd) throw cannotMakeSafe('a multipart without parts');
      return unchanged;
    }
    if (type === 'message' && !hazards.longLine && !hazards.bareLineEnd) {
      // Reports are made of header lines, which mean the same without blanks at their ends (RFC 3464 §2.1).
      const trimmed = this.#survey(body, 'trimmed');
      if (trimmed.answer === null) yield trimmed;
      if (isSafe(answered(trimmed).hazards)) return { encoding: null, form: 'trimmed' };
    }
    const base64: EncodedLeaf = { encoding: 'base64', form: asData ? 'base64' : 'base64-of-canonical' };
    if (type === 'text' && !wide) {
      const question = this.#convert(body, 'quoted-printable');
      if (question.answer === null) yield question;
      const readable = answered(question);
      const canonicalLength = body.end - body.start + found.bareLineFeeds;
      // Mostly 8-bit text (Cyrillic, Greek, CJK) triples in quoted-printable and nobody reads it there anyway.
      return readable.length <= canonicalLength * 2
        ? { encoding: 'quoted-printable', form: 'quoted-printable', conversion: readable }
        : base64;
    }
    return type === 'message' ? { encoding: 'quoted-printable', form: 'quoted-printable' } : base64;
  }

  /** `encoding`: what Content-Transfer-Encoding is to say from now on; null: as before. */
  *#header(entity: Entity, encoding: string | null): Plan<void> {
    const other = this.#otherHeaderOf(entity);
    const { octets, fields, start } = other ?? (yield* this.#ownHeaderOf(entity));
    let said = false;
    for (const field of fields) {
      if (encoding === null || field.name.toLowerCase() !== 'content-transfer-encoding') {
        this.pieces.push({ kind: 'octets', octets: safe(entity, octets, field, start) });
        continue;
      }
      if (!said) this.#write(`${field.name}: ${encoding}\r\n`);
      said = true;
    }
    if (encoding !== null && !said) this.#write(`Content-Transfer-Encoding: ${encoding}\r\n`);
    // Without an empty line the part is a header only, which may end without a line end too.
    if (
      other !== null ||
      entity.body.start > entity.header.end ||
      entity.range.end > entity.body.start ||
      entity.parts.length > 0
    ) {
      this.pieces.push(EMPTY_LINE);
    }
  }

  #otherHeaderOf(entity: Entity): (RootHeader & { start: number }) | null {
    return this.#other?.of === entity ? { ...this.#other, start: 0 } : null;
  }

  *#ownHeaderOf({ header, fields }: Entity): Plan<RootHeader & { start: number }> {
    const question = this.#octets(header);
    if (question.answer === null) yield question;
    return { octets: answered(question), fields, start: header.start };
  }

  #write(latin1: string): void {
    this.pieces.push({ kind: 'octets', octets: Buffer.from(latin1, 'latin1') });
  }

  #canonical(range: Range, bareLineFeeds: number): void {
    if (bareLineFeeds === 0) this.#range(range, 'as-is', asIs(range));
    else this.#range(range, 'canonical', { length: range.end - range.start + bareLineFeeds, octets: null });
  }

  #range(range: Range, form: Form, conversion: Conversion): void {
    this.pieces.push({ kind: 'range', range, form, conversion });
  }
}

/**
 * A Content-Type that nobody can read must not become one that readers can: what they would make of the body then was not looked
 * at here.
 */
function safe(entity: Entity, octets: Buffer, field: HeaderField, start: number): Buffer {
  const written = safeField(octets, field, start);
  if (!entity.declared && field.name.toLowerCase() === 'content-type') {
    if (!isAscii(octets.subarray(field.range.start - start, field.range.end - start))) {
      throw cannotMakeSafe('a Content-Type that cannot be read');
    }
  }
  return written;
}

function spend(budget: TreeBudget, { parts }: Entity, headerOctets: number, fields: number): void {
  budget.entities--;
  budget.headerOctets -= headerOctets;
  budget.fields -= fields;
  for (const part of parts) spend(budget, part, part.header.end - part.header.start, part.fields.length);
}

type EncodedLeaf = {
  encoding: 'quoted-printable' | 'base64' | null;
  form: Form;
  conversion?: Conversion;
};

function answered<T>({ answer }: { answer: T | null }): T {
  if (answer === null) throw new Error('a question of the plan was not answered');
  return answer;
}

function asIs({ start, end }: Range): Conversion {
  return { length: end - start, octets: null };
}

/** Whether octets after the last part are its line end and the close delimiter. */
function startsWithClose(octets: Buffer, close: string): boolean {
  const text = octets.toString('latin1');
  return text.startsWith(close) || text.startsWith(`\n${close}`) || text.startsWith(`\r\n${close}`);
}

function isSevenBit(entity: Entity): boolean {
  return entity.transferEncoding === '7bit';
}

function isIdentity(entity: Entity): boolean {
  return isSevenBit(entity) || entity.transferEncoding === '8bit' || entity.transferEncoding === 'binary';
}
