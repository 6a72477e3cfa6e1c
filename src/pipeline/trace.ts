import { limits } from '../limits.ts';
import { collectFrom } from '../octets/collect.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Arrival, Clock, OutboundStory, Submission } from './ports.ts';
import { ownReply } from './refusal.ts';

/**
 * What has come from another server: a trace field goes on top of it (RFC 5321 §4.4), and what goes in circles is refused (§6.3).
 *
 * Holds: whatever leaves has one trace field more than what came, so that a circle has an end.
 */
export function tracedStory(story: OutboundStory, clock: Clock): OutboundStory {
  return {
    judgeRecipient: (origin, recipient) => story.judgeRecipient(origin, recipient),
    expectRecipient: (origin, recipient) => story.expectRecipient(origin, recipient),
    async submit(submission, upstream) {
      const { arrival, listener } = submission.origin;
      if (arrival === undefined) return story.submit(submission, upstream);
      if (goesInCircles(await beginningOf(submission.octets), arrival, listener)) {
        const reply = ownReply(
          554,
          '5.4.6',
          'This message goes in circles; it was not delivered.',
          submission.id,
        );
        return { kind: 'refused', reply };
      }
      return story.submit({ ...submission, trace: traceField(submission, arrival, clock()) }, upstream);
    },
  };
}

/**
 * Mail of clients for which the gateway answers itself: a trace field that says so (RFC 5321 §4.4), and nothing of where the client is: that is
 * nobody's business among those who get the mail. So it has no `from`.
 */
export function answeredStory(story: OutboundStory, hostname: string, clock: Clock): OutboundStory {
  return {
    judgeRecipient: (origin, recipient) => story.judgeRecipient(origin, recipient),
    expectRecipient: (origin, recipient) => story.expectRecipient(origin, recipient),
    submit(submission, upstream) {
      const { id, origin } = submission;
      const lines = [
        `Received: by ${hostname} (${program(origin.listener)})`,
        `id ${id};`,
        dateText(clock()),
      ];
      const trace = Buffer.from(`${lines.join('\r\n\t')}\r\n`, 'latin1');
      return story.submit({ ...submission, trace }, upstream);
    },
  };
}

/** As much as a header may have. */
function beginningOf(octets: OctetSource): Promise<Buffer> {
  return collectFrom(octets, 0, Math.min(octets.length, limits.mail.headerOctets));
}

/** Whether so many servers have had it, or this listener so often, that it would not arrive anywhere. */
export function goesInCircles(beginning: Buffer, { hostname }: Arrival, listener: string): boolean {
  const text = beginning.toString('latin1');
  const end = /\r?\n\r?\n/.exec(`\n${text}`)?.index ?? text.length;
  const fields = text.slice(0, end).match(/^received[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*/gim) ?? [];
  const own = ` by ${hostname} (${program(listener)}) `;
  const ours = fields.filter((field) => `${field.replace(/\s+/g, ' ')} `.includes(own));
  return fields.length >= limits.relay.received || ours.length >= limits.relay.ownReceived;
}

/** RFC 5321 §4.4. What the client calls itself is only shown where it cannot be mistaken for anything else. */
export function traceField({ id, origin }: Submission, arrival: Arrival, at: Date): Buffer {
  const { remote, listener } = origin;
  const helo = /^[A-Za-z0-9.:_[\]-]{1,255}$/.test(arrival.helo) ? arrival.helo : 'unknown';
  const address = remote === '' ? '(unknown)' : `([${remote.includes(':') ? 'IPv6:' : ''}${remote}])`;
  const lines = [
    `Received: from ${helo} ${address}`,
    `by ${arrival.hostname} (${program(listener)})`,
    `with ${arrival.protocol} id ${id};`,
    dateText(at),
  ];
  return Buffer.from(`${lines.join('\r\n\t')}\r\n`, 'latin1');
}

function dateText(at: Date): string {
  return at.toUTCString().replace('GMT', '+0000');
}

function program(listener: string): string {
  return `Sealgate ${listener}`;
}
