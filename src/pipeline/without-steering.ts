import { fieldsNamed } from '../mail/header.ts';
import { withoutTags } from '../mail/strip-tags.ts';
import type { Strip } from '../policy/steering.ts';
import { headerOf, type OutgoingMessage, withEditedHeader } from './outgoing-message.ts';

/** The message without what steered the gateway; all other octets stay. The same message where there is nothing of it. */
export function withoutSteering(message: OutgoingMessage, strip: Strip | null): OutgoingMessage {
  if (strip === null) return message;
  const octets = headerOf(message);
  const { fields } = message.root;
  return withEditedHeader(message, [
    ...fieldsNamed(fields, 'subject').map(({ range }) => {
      const text = octets.toString('latin1', range.start, range.end);
      const colon = text.indexOf(':') + 1;
      return { range, text: text.slice(0, colon) + withoutTags(text.slice(colon), strip.tags) };
    }),
    ...(strip.field === null
      ? []
      : fieldsNamed(fields, strip.field).map(({ range }) => ({ range, text: '' }))),
  ]);
}
