import type { Entity, Range } from '../mail/entity.ts';
import { newTreeBudget, type TreeBudget } from '../mail/entity-scanner.ts';
import { readEntityFrom } from '../mail/entity-source.ts';
import { readEntity } from '../mail/entity-tree.ts';
import { fieldText } from '../mail/field-text.ts';
import { fieldsNamed } from '../mail/header.ts';
import { readParameterised } from '../mail/media-type.ts';
import { subjectTags } from '../mail/subject-tags.ts';
import type { AttachmentFacts, MessageFacts } from '../policy/facts.ts';
import { looksAt } from '../policy/looks-at.ts';
import { foldedText } from '../policy/message-conditions.ts';
import type { Rule } from '../policy/rules.ts';
import type { OutgoingMessage } from './outgoing-message.ts';

/**
 * What the rules look at of a message, and nothing else: a mail that no rule looks into is not looked into.
 *
 * @throws SealgateError `mail.too-complex`, `mail.header-too-large` of messages inside; the source's own
 */
export async function messageFacts(message: OutgoingMessage, rules: readonly Rule[]): Promise<MessageFacts> {
  const { octets, root } = message;
  const { header, tags, attachments } = looksAt(rules);
  const textsOf = (name: string) => fieldsNamed(root.fields, name).map(({ value }) => fieldText(value));
  const values = [...header].map((name) => [name, textsOf(name).map(foldedText)] as const);
  const found =
    tags.size === 0
      ? []
      : textsOf('subject')
          .flatMap(subjectTags)
          .map(({ tag }) => tag);
  return {
    octets: octets.length,
    header: { kind: 'values', of: new Map(values) },
    tags: tags.size === 0 ? { found: [], looked: [] } : { found: [...new Set(found)], looked: null },
    attachments: attachments ? await attachmentsOf(message) : null,
  };
}

/** RFC 2046 §5.2.1: a message inside has no other. */
const IDENTITY: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary']);

/** Messages in messages; deeper ones are attachments like any other. */
const MESSAGES_DEEP = 20;

/** A message inside one. The reader sets `entity`. */
type Inside = { range: Range; budget: TreeBudget; entity: Entity | null };

/**
 * Every part that is not the text of the message: what has a file name, is marked as an attachment or is neither text/plain nor
 * text/html; in messages inside, too. What is encrypted shows as that. The signature of a signed mail is none.
 */
async function attachmentsOf(message: OutgoingMessage): Promise<AttachmentFacts[]> {
  const looking = attachmentsIn(message.root, newTreeBudget(), MESSAGES_DEEP);
  for (;;) {
    const step = looking.next();
    if (step.done === true) return step.value;
    const { range, budget } = step.value;
    step.value.entity =
      message.kind === 'in-memory'
        ? readEntity(message.octets, range, budget)
        : await readEntityFrom(message.octets, range, budget);
  }
}

function* attachmentsIn(
  entity: Entity,
  budget: TreeBudget,
  deep: number,
): Generator<Inside, AttachmentFacts[], void> {
  const { mediaType, parts } = entity;
  if (parts.length > 0) {
    // RFC 1847 §2.1: the second part is about the first. Whatever else calls itself signed has parts like others.
    const [first, second] = parts;
    const isPair = mediaType.subtype === 'signed' && parts.length === 2;
    const told = isPair && second !== undefined && isSignature(second) ? [first ?? second] : parts;
    const found: AttachmentFacts[] = [];
    for (const part of told) found.push(...(yield* attachmentsIn(part, budget, deep)));
    return found;
  }
  const name = `${mediaType.type}/${mediaType.subtype}`;
  const extensions = extensionsOf(entity);
  const found = (extensions.length === 0 ? [null] : extensions).map((extension) => ({
    ...{ mediaType: name, extension },
  }));
  if (name === 'message/rfc822' && deep > 0 && IDENTITY.has(entity.transferEncoding)) {
    const inside: Inside = { range: entity.body, budget, entity: null };
    yield inside;
    if (inside.entity === null) throw new Error('a message inside was not read');
    return [...found, ...(yield* attachmentsIn(inside.entity, budget, deep - 1))];
  }
  return isText(entity, name) ? [] : found;
}

function isText(entity: Entity, mediaType: string): boolean {
  if (mediaType !== 'text/plain' && mediaType !== 'text/html') return false;
  const isAttachment = dispositionsOf(entity).some(({ word }) => word === 'attachment');
  return !isAttachment && fileNamesOf(entity).length === 0;
}

/** RFC 8551 §3.5.3.1 with the names of before, and that of OpenPGP. What has another file name is something else. */
function isSignature(entity: Entity): boolean {
  const { type, subtype } = entity.mediaType;
  return (
    type === 'application' &&
    ['pkcs7-signature', 'x-pkcs7-signature', 'pgp-signature'].includes(subtype) &&
    extensionsOf(entity).every((extension) => ['p7s', 'asc', 'sig', 'pgp'].includes(extension))
  );
}

function extensionsOf(entity: Entity): string[] {
  const extensions = fileNamesOf(entity).flatMap((written) => {
    // Windows opens `a.exe.` and `a.exe ` as what they are without that.
    const name = written.trim().replace(/[. ]+$/, '');
    const extension = name.slice(name.lastIndexOf('.') + 1).toLowerCase();
    return name.includes('.') && /^[^\s/\\]{1,32}$/u.test(extension) ? [extension] : [];
  });
  return [...new Set(extensions)];
}

/** All that it is called by: which of several names counts is the reader's choice. */
function fileNamesOf(entity: Entity): string[] {
  const names = [
    ...dispositionsOf(entity).map(({ parameters }) => parameters.get('filename')),
    entity.mediaType.parameters.get('name'),
  ];
  return names.flatMap((name) => (name === undefined ? [] : [fieldText(latin1Of(name))]));
}

/** RFC 2231 values are decoded already, and then may have what latin1 has not. */
function latin1Of(text: string): string {
  return /[^\0-\xff]/.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

function dispositionsOf({ fields }: Entity) {
  return fieldsNamed(fields, 'content-disposition').flatMap(({ value }) => readParameterised(value) ?? []);
}
