import { AddressRanges } from '../../../src/connections/address-range.ts';
import type { Event } from '../../../src/log/events.ts';
import type { OutboundStory } from '../../../src/pipeline/ports.ts';
import { OwnDomains } from '../../../src/smtp-in/own-domains.ts';
import type { RelaySettings } from '../../../src/smtp-in/relay-admission.ts';
import { type RelayListenerOptions, startRelayListener } from '../../../src/smtp-in/relay-listener.ts';
import { principalNamed } from '../../support/principal.ts';
import { type FakeOptions, type FakeUpstream, fakeUpstream } from './fake-upstream.ts';
import { ForwardingStory } from './gateway.ts';

export type TestRelay = {
  port: number;
  upstream: FakeUpstream;
  story: ForwardingStory;
  events: Event[];
  close(): Promise<void>;
};

export const NOBODY = principalNamed('');

/** For own domains, from anybody. */
export function inbound(domains: readonly string[], changes: Partial<RelaySettings> = {}): RelaySettings {
  return {
    ...{ protocol: 'smtp', from: null, nobody: NOBODY, trustedProxies: new AddressRanges([]) },
    purpose: { direction: 'inbound', domains: new OwnDomains(domains) },
    ...changes,
  };
}

/** From these networks, in the name of alice@example.org. */
export function outbound(
  networks: readonly string[],
  changes: Partial<RelaySettings> = {},
  settings: Partial<Extract<RelaySettings['purpose'], { direction: 'outbound' }>> = {},
): RelaySettings {
  const alice = principalNamed('alice@example.org');
  return {
    ...inbound([]),
    from: { networks: new AddressRanges(networks), certificates: { admit: () => false } },
    purpose: {
      ...{ direction: 'outbound', strangers: 'refuse', nullSender: 'pass' },
      ownerOf: (address) => (address === 'alice@example.org' ? alice : null),
      ...settings,
    },
    ...changes,
  };
}

export async function testRelay(
  relay: RelaySettings,
  fake: FakeOptions = {},
  options: Partial<RelayListenerOptions> & { through?: (story: OutboundStory) => OutboundStory } = {},
): Promise<TestRelay> {
  const upstream = await fakeUpstream(fake);
  const events: Event[] = [];
  const story = new ForwardingStory();
  const { through = (same) => same, ...changes } = options;
  const listener = await startRelayListener({
    ...{ name: 'mx', host: '127.0.0.1', port: 0, tls: 'none', hostname: 'gateway.test', relay },
    upstream: { host: '127.0.0.1', port: upstream.port, tls: 'none' },
    story: through(story),
    log: { write: (event) => events.push(event) },
    ...changes,
  });
  return {
    ...{ port: listener.port, upstream, story, events },
    async close() {
      await listener.close();
      await upstream.close();
    },
  };
}
