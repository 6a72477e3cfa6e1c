import type { Event } from '../../../src/log/events.ts';
import type {
  HandOver,
  HandOverOutcome,
  OutboundStory,
  Submission,
  SubmissionOutcome,
} from '../../../src/pipeline/ports.ts';
import type { Recipient } from '../../../src/smtp/envelope.ts';
import {
  type SubmissionListener,
  type SubmissionListenerOptions,
  startSubmissionListener,
} from '../../../src/smtp-in/listener.ts';
import { PLAIN, TestClient } from './client.ts';
import { type FakeOptions, type FakeUpstream, fakeUpstream } from './fake-upstream.ts';

/** The story that forwards everything unchanged, and remembers what it was given. */
export class ForwardingStory implements OutboundStory {
  readonly expected: Recipient[] = [];
  readonly submissions: Submission[] = [];
  readonly outcomes: HandOverOutcome[] = [];

  judgeRecipient(): null {
    return null;
  }

  expectRecipient(_origin: Submission['origin'], recipient: Recipient): void {
    this.expected.push(recipient);
  }

  async submit(submission: Submission, handOver: HandOver): Promise<SubmissionOutcome> {
    this.submissions.push(submission);
    return await this.handOver(submission, handOver);
  }

  protected async handOver(submission: Submission, handOver: HandOver): Promise<SubmissionOutcome> {
    const outcome = await handOver.deliver({
      recipients: submission.envelope.recipients,
      octets: submission.octets,
      protection: { signed: false, encrypted: false },
      requireTls: false,
    });
    return this.outcome(outcome);
  }

  protected outcome(outcome: HandOverOutcome): SubmissionOutcome {
    this.outcomes.push(outcome);
    switch (outcome.kind) {
      case 'accepted':
        return { kind: 'accepted', reply: outcome.reply };
      case 'rejected':
        return { kind: 'refused', reply: outcome.reply };
      case 'unreachable':
        return { kind: 'refused', reply: { code: 451, lines: ['4.4.2 story: the mail server was lost'] } };
      case 'each':
        return { kind: 'refused', reply: { code: 451, lines: ['4.3.0 story: some have it'] } };
    }
  }
}

/** A reply with the gateway's id of the mail behind it. */
export function named(reply: string): RegExp {
  return new RegExp(`^${RegExp.escape(reply)} \\[[0-9a-z]{20}\\]$`);
}

/** What the fake upstream says to the end of data, as the client hears it. */
export const QUEUED = named('250 2.0.0 upstream queued as 4711');

export type TestGateway = {
  port: number;
  upstream: FakeUpstream;
  story: ForwardingStory;
  events: Event[];
  listener: SubmissionListener;
  close(): Promise<void>;
};

/** A listener without TLS on this machine, in front of a scripted upstream. */
export async function testGateway(
  fake: FakeOptions = {},
  options: Partial<SubmissionListenerOptions> = {},
  story: ForwardingStory = new ForwardingStory(),
): Promise<TestGateway> {
  const upstream = await fakeUpstream(fake);
  const events: Event[] = [];
  const listener = await startSubmissionListener({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    tls: 'none',
    upstream: {
      ...{ host: '127.0.0.1', port: upstream.port, tls: 'none' },
      ...(fake.protocol === undefined ? {} : { protocol: fake.protocol }),
    },
    story,
    log: { write: (event) => events.push(event) },
    hostname: 'gateway.test',
    ...options,
  });
  return {
    port: listener.port,
    upstream,
    story,
    events,
    listener,
    close: async () => {
      await listener.close();
      await upstream.close();
    },
  };
}

/** Connected, greeted, logged in as alice@example.org. */
export async function loggedIn(port: number): Promise<TestClient> {
  const client = await TestClient.open(port);
  await client.ask('EHLO client.test');
  const verdict = await client.ask(`AUTH PLAIN ${PLAIN}`);
  if (verdict?.startsWith('235') !== true) throw new Error(`no login: ${verdict}`);
  return client;
}
