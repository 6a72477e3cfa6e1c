import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Entity } from '../mail/entity.ts';
import { readMessage } from '../mail/entity-tree.ts';
import { fieldsNamed } from '../mail/header.ts';
import { decodeCharset, readParameterised } from '../mail/media-type.ts';
import { decodeBody } from '../mail/transfer-encoding.ts';
import { messageIdIn } from './mail-header.ts';
import type { AnswerWord } from './question.ts';

export type ReadAnswer =
  | { kind: 'word'; word: AnswerWord; messageId: string | null }
  /** `publicText`: what is wrong with it, as whole sentences. */
  | { kind: 'unclear'; publicText: string };

/**
 * What an answer says: the first word of its first own line. What it quotes (lines with ">"), and the line above that which says whose words
 * they are, are not its own. A program's answer (RFC 3834) is none.
 */
export function readAnswer(octets: Buffer): ReadAnswer {
  try {
    const { root } = readMessage(octets);
    const automatic = signOfProgram(root);
    if (automatic !== null) return unclear(`It says that a program has written it (${automatic}).`);
    const part = textPart(root);
    if (part === null) {
      return unclear('It has no text that could be read: answer with plain text, not encrypted.');
    }
    const charset = part.mediaType.parameters.get('charset') ?? '';
    const text = decodeCharset(decodeBody(octets, part), charset);
    const word = firstWord(ownLines(text.slice(0, limits.holding.answerCharacters)));
    if (word === null) {
      return unclear('Its first word must be one of those that the question names: send, wait or discard.');
    }
    return { kind: 'word', word, messageId: messageIdIn(root.fields) };
  } catch (error) {
    if (error instanceof SealgateError) return unclear(error.publicText);
    throw error;
  }
}

/** By what a message says that nobody has typed it (RFC 3834 §2, §5; RFC 6522 for reports); null: it does not. */
function signOfProgram({ fields, mediaType }: Entity): string | null {
  const has = (name: string, isSign: (value: string) => boolean) =>
    fieldsNamed(fields, name).some(({ value }) => isSign(value.trim()));
  if (has('auto-submitted', (value) => !/^no(?=$|[\s;(])/i.test(value))) return 'Auto-Submitted';
  // Of programs that are older than that field.
  if (has('precedence', (value) => /^(?:bulk|junk|auto_reply)\b/i.test(value))) return 'Precedence';
  return mediaType.type === 'multipart' && mediaType.subtype === 'report' ? 'multipart/report' : null;
}

function unclear(publicText: string): ReadAnswer {
  return { kind: 'unclear', publicText };
}

/** The first text that is no attachment; null: there is none. */
function textPart(entity: Entity): Entity | null {
  for (const part of entity.parts) {
    const found = textPart(part);
    if (found !== null) return found;
  }
  const { type, subtype } = entity.mediaType;
  if (entity.parts.length > 0 || type !== 'text' || subtype !== 'plain') return null;
  const [disposition] = fieldsNamed(entity.fields, 'content-disposition');
  const kind = disposition === undefined ? null : readParameterised(disposition.value)?.word.toLowerCase();
  return kind === 'attachment' ? null : entity;
}

function* ownLines(text: string): Generator<string> {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (line === '' || line.startsWith('>')) continue;
    const end = attributionEnd(lines, at);
    if (end === null) yield line;
    else at = end;
  }
}

/** Lines of one paragraph that end with a colon, with nothing but a quotation below: “On Friday the gateway wrote:”. null: they are not. */
function attributionEnd(lines: readonly string[], start: number): number | null {
  let end = start;
  while (end - start < 4 && isOwn(lines[end + 1])) end++;
  const next = lines.slice(end + 1).find((line) => line !== '');
  return lines[end]?.endsWith(':') === true && next?.startsWith('>') === true ? end : null;
}

function isOwn(line: string | undefined): boolean {
  return line !== undefined && line !== '' && !line.startsWith('>');
}

function firstWord(lines: Iterable<string>): AnswerWord | null {
  for (const line of lines) {
    const word = /^[\p{P}\p{S}\s]*(\p{L}+)(?![\p{L}\p{N}'’-])/u.exec(line)?.[1]?.toLowerCase();
    return WORDS.find((one) => one === word) ?? null;
  }
  return null;
}

const WORDS: readonly AnswerWord[] = ['send', 'wait', 'discard'];
