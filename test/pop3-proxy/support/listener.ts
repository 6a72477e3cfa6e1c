import type { Event } from '../../../src/log/events.ts';
import {
  type Pop3Listener,
  type Pop3ListenerOptions,
  startPop3Listener,
} from '../../../src/pop3-proxy/listener.ts';
import type { ToyControl } from '../../imap-proxy/support/toy-story.ts';
import { readingListener } from '../../support/reading-listener.ts';

export type TestProxy = Pop3Listener & { control: ToyControl; events: Event[] };

/** A proxy without TLS in front of `upstreamPort`; everything can be set otherwise. */
export async function startTestProxy(
  upstreamPort: number,
  changes: Partial<Pop3ListenerOptions> = {},
): Promise<TestProxy> {
  const { options, control, events } = readingListener('pop3', upstreamPort);
  const listener = await startPop3Listener({ ...options, ...changes });
  return { ...listener, control, events };
}
