import { createHash, timingSafeEqual } from 'node:crypto';
import { limits } from '../limits.ts';
import type { Secret } from '../log/secret.ts';
import { readHeader } from '../mail/header.ts';
import { sliceOf } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import type { OutboundStory } from './ports.ts';
import { ownReply } from './refusal.ts';

/** A header field with a secret that only the own mail of a server has, which many organisations share. */
export type Mark = { field: string; value: Secret };

/**
 * Takes mail only with that field, and takes the field off.
 *
 * Must never happen: the secret leaves with the mail; mail without it, or with more than one such field, is taken.
 */
export function markedStory(story: OutboundStory, mark: Mark): OutboundStory {
  return {
    judgeRecipient: (origin, recipient) => story.judgeRecipient(origin, recipient),
    expectRecipient: (origin, recipient) => story.expectRecipient(origin, recipient),
    async submit(submission, upstream) {
      const octets = await withoutMark(submission.octets, mark);
      if (octets !== null) return story.submit({ ...submission, octets }, upstream);
      const reply = ownReply(550, '5.7.1', 'Mail of known organisations is taken only.', submission.id);
      return { kind: 'refused', reply };
    },
  };
}

/** null: it has not the mark. */
async function withoutMark(octets: OctetSource, { field, value }: Mark): Promise<OctetSource | null> {
  const beginning = await collectFrom(octets, 0, Math.min(octets.length, limits.mail.headerOctets));
  const found = readHeader(beginning, 0, beginning.length).fields.filter(
    ({ name }) => name.toLowerCase() === field.toLowerCase(),
  );
  const [only] = found;
  if (only === undefined || found.length > 1) return null;
  if (!timingSafeEqual(digestOf(only.value.trim()), digestOf(value.reveal()))) return null;
  const { start, end } = only.range;
  return joinedSource([sliceOf(octets, 0, start), sliceOf(octets, end, octets.length)]);
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text, 'latin1').digest();
}
