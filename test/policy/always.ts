import type { Condition, PlainCondition } from '../../src/policy/rules.ts';

const NOTHING: PlainCondition = {
  ...{ recipient: null, recipientDomain: null, recipientGroup: null },
  ...{ sender: null, senderDomain: null, senderGroup: null },
  ...{ login: null, loginGroup: null, listener: null, header: null, subjectTag: null, size: null },
  ...{ attachmentType: null, attachmentExtension: null, protection: null, certificateKnown: null },
};

/** The condition of a rule that applies to every recipient. */
export const ALWAYS: Condition = { ...NOTHING, not: null, anyOf: null };
