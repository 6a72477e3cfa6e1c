import {
  type ImapListener,
  type ImapListenerOptions,
  startImapListener,
} from '../../../src/imap-proxy/listener.ts';
import type { Event } from '../../../src/log/events.ts';
import { readingListener } from '../../support/reading-listener.ts';
import type { ToyControl } from './toy-story.ts';

export type TestProxy = ImapListener & { control: ToyControl; events: Event[] };

/** A proxy without TLS in front of `upstreamPort`; everything can be set otherwise. */
export async function startTestProxy(
  upstreamPort: number,
  changes: Partial<ImapListenerOptions> = {},
): Promise<TestProxy> {
  const { options, control, events } = readingListener('imap', upstreamPort);
  const listener = await startImapListener({ ...options, ...changes });
  return { ...listener, control, events };
}
