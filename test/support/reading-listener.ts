import type { ListenerOptions } from '../../src/connections/listener.ts';
import type { Event } from '../../src/log/events.ts';
import type { ReaderOptions } from '../../src/reading/reader-options.ts';
import { type ToyControl, toyControl, toyStory } from '../imap-proxy/support/toy-story.ts';

/** What a listener without TLS in front of `upstreamPort` is told, with what it opens and what it logs at hand. */
export function readingListener(
  name: string,
  upstreamPort: number,
): { options: ListenerOptions & ReaderOptions; control: ToyControl; events: Event[] } {
  const control = toyControl();
  const events: Event[] = [];
  const options: ListenerOptions & ReaderOptions = {
    name,
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
  };
  return { options, control, events };
}
