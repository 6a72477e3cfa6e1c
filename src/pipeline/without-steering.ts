import { readMessage } from '../mail/entity-tree.ts';
import { fieldsNamed } from '../mail/header.ts';
import type { Message } from '../mail/message.ts';
import { withoutTags } from '../mail/strip-tags.ts';
import type { Strip } from '../policy/steering.ts';

/** The message without what steered the gateway; all other octets stay. The same message where there is nothing of it. */
export function withoutSteering(message: Message, strip: Strip | null): Message {
  if (strip === null) return message;
  const { octets, root } = message;
  const edits = [
    ...fieldsNamed(root.fields, 'subject').map(({ range }) => {
      const text = octets.toString('latin1', range.start, range.end);
      const colon = text.indexOf(':') + 1;
      return { range, text: text.slice(0, colon) + withoutTags(text.slice(colon), strip.tags) };
    }),
    ...(strip.field === null
      ? []
      : fieldsNamed(root.fields, strip.field).map(({ range }) => ({ range, text: '' }))),
  ].sort((one, other) => one.range.start - other.range.start);
  if (edits.length === 0) return message;
  const kept: Buffer[] = [];
  let from = 0;
  for (const { range, text } of edits) {
    kept.push(octets.subarray(from, range.start), Buffer.from(text, 'latin1'));
    from = range.end;
  }
  const edited = Buffer.concat([...kept, octets.subarray(from)]);
  return edited.equals(octets) ? message : readMessage(edited);
}
