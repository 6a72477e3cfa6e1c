import { type HandOverParts, handOverAll } from './hand-over.ts';
import type { OutboundStory, Principal } from './ports.ts';
import { distinct } from './recipient-certificates.ts';
import { refusalOf, refusalReply } from './refusal.ts';

/** Hands mail over as it is. */
export function passingStory(parts: HandOverParts): OutboundStory {
  return {
    judgeRecipient: () => null,
    expectRecipient: () => undefined,
    async submit(submission, upstream) {
      const variant = {
        recipients: distinct(submission.envelope.recipients),
        protection: { signed: false, encrypted: false },
        ...{ rule: null, requireTls: false, appendTo: [] },
        make: async () => submission.octets,
      };
      try {
        const prepared = { variants: [variant], waiting: [] };
        const { kind, reply, each } = await handOverAll(submission, prepared, upstream, parts);
        return each === undefined ? { kind, reply } : { kind, reply, each };
      } catch (error) {
        return { kind: 'refused', reply: refusalReply(refusalOf(error), submission.id) };
      }
    },
  };
}

/** The story of those whose mail it is; what is nobody's, and was let in all the same, is passed on as it is. */
export function storyForKnown(
  known: OutboundStory,
  passing: OutboundStory,
  nobody: Principal,
): OutboundStory {
  const storyOf = (principal: Principal): OutboundStory => (principal === nobody ? passing : known);
  return {
    judgeRecipient: (origin, recipient) => storyOf(origin.principal).judgeRecipient(origin, recipient),
    expectRecipient: (origin, recipient) => storyOf(origin.principal).expectRecipient(origin, recipient),
    submit: (submission, upstream) => storyOf(submission.origin.principal).submit(submission, upstream),
  };
}
