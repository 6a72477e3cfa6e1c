import type { Event } from '../../../src/log/events.ts';
import {
  type Pop3Listener,
  type Pop3ListenerOptions,
  startPop3Listener,
} from '../../../src/pop3-proxy/listener.ts';
import { type ToyControl, toyControl, toyStory } from '../../imap-proxy/support/toy-story.ts';

export type TestProxy = Pop3Listener & { control: ToyControl; events: Event[] };

/** A proxy without TLS in front of `upstreamPort`; everything can be set otherwise. */
export async function startTestProxy(
  upstreamPort: number,
  changes: Partial<Pop3ListenerOptions> = {},
): Promise<TestProxy> {
  const control = toyControl();
  const events: Event[] = [];
  const listener = await startPop3Listener({
    name: 'pop3',
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
