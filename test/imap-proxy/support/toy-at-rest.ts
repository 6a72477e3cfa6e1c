import type { AtRestMailboxes } from '../../../src/imap-proxy/append/storing.ts';
import { readEntity } from '../../../src/mail/entity-tree.ts';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { collect } from '../../../src/octets/collect.ts';
import type { AtRestStory, SealOutcome } from '../../../src/pipeline/ports.ts';

export type ToyAtRest = AtRestStory & {
  /** Refuses what is to be sealed. */
  refusal: Extract<SealOutcome, { kind: 'refused' }> | null;
  /** Octets after which reading what was sealed fails. */
  breaksAfter: number | null;
};

/** Base64 is the encryption. */
export function toyAtRest(): ToyAtRest {
  const story: ToyAtRest = {
    refusal: null,
    breaksAfter: null,
    async seal({ outer, octets }) {
      if (story.refusal !== null) return story.refusal;
      const whole = toySealed(outer, await collect(octets.read()));
      const length = whole.length;
      const { breaksAfter } = story;
      if (breaksAfter === null) return { kind: 'sealed', length, octets: bufferSource(whole).read() };
      return { kind: 'sealed', length, octets: breaking(whole.subarray(0, breaksAfter)) };
    },
    async unseal({ octets }) {
      const whole = await collect(octets.read());
      const { body } = readEntity(whole);
      const inside = Buffer.from(whole.toString('latin1', body.start), 'base64');
      return { kind: 'opened', octets: bufferSource(inside), discard: async () => undefined };
    },
  };
  return story;
}

async function* breaking(octets: Buffer) {
  yield octets;
  throw new Error('the disk is gone');
}

export function toySealed(outer: Buffer, octets: Buffer): Buffer {
  return Buffer.concat([
    outer,
    Buffer.from('Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n'),
    Buffer.from(octets.toString('base64')),
  ]);
}

export function toyMailboxes(): AtRestMailboxes {
  const known = new Set<string>();
  return {
    any: async (login) => [...known].some((each) => each.startsWith(`${login} `)),
    has: async (login, mailbox) => known.has(`${login} ${mailbox}`),
    async add(login, mailbox) {
      known.add(`${login} ${mailbox}`);
    },
    renamed: async () => undefined,
  };
}
