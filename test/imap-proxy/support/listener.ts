import {
  type ImapListener,
  type ImapListenerOptions,
  startImapListener,
} from '../../../src/imap-proxy/listener.ts';
import type { Event } from '../../../src/log/events.ts';
import { type ToyControl, toyControl, toyStory } from './toy-story.ts';

export type TestProxy = ImapListener & { control: ToyControl; events: Event[] };

/** A proxy without TLS in front of `upstreamPort`; everything can be set otherwise. */
export async function startTestProxy(
  upstreamPort: number,
  changes: Partial<ImapListenerOptions> = {},
): Promise<TestProxy> {
  const control = toyControl();
  const events: Event[] = [];
  const listener = await startImapListener({
    name: 'imap',
    host: '127.0.0.1',
    port: 0,
    tls: 'none',
    upstream: { host: '127.0.0.1', port: upstreamPort, tls: 'none' },
    story: toyStory(control),
    hasKeys: () => true,
    viewSecret: Buffer.alloc(32, 7),
    installationId: '7f3a9c2e',
    log: { write: (event) => void events.push(event) },
    hostname: 'gateway.example.org',
    allowPlainAuth: true,
    ...changes,
  });
  return { ...listener, control, events };
}
