import type { Config } from '../config/load.ts';
import { AddressRanges } from '../connections/address-range.ts';
import { deliveredView } from '../mail-view/delivered.ts';
import { viewNames } from '../mail-view/view-names.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import { type InboundParts, inboundStory } from '../pipeline/inbound.ts';
import { inboundDelivery } from '../pipeline/inbound-delivery.ts';
import { markedStory } from '../pipeline/marked-story.ts';
import { passingStory, storyForKnown } from '../pipeline/pass-on.ts';
import type { DeliveredVariants, OutboundStory } from '../pipeline/ports.ts';
import { tracedStory } from '../pipeline/trace.ts';
import { OwnDomains } from '../smtp-in/own-domains.ts';
import type { RelaySettings } from '../smtp-in/relay-admission.ts';
import type { Installation } from '../store/installation.ts';
import { AddressOwners } from './address-owners.ts';
import { clientCertificates } from './client-certificates.ts';
import type { Opening } from './opening.ts';

export type RelayParts = {
  outbound: OutboundStory;
  inbound: InboundParts;
  delivered: DeliveredVariants;
  installation: Installation;
};

type Listener = Config['relay'][number];

/** What a listener for other servers does with mail, and whose it takes. */
export type RelaySide = { of(listener: Listener): Promise<{ story: OutboundStory; relay: RelaySettings }> };

/** Mail of other servers, in both directions. */
export function openRelay(
  { config, log, clock }: Pick<Opening, 'config' | 'log' | 'clock'>,
  { outbound, inbound, delivered, installation }: RelayParts,
): RelaySide {
  const owners = new AddressOwners(config);
  const { nobody } = owners;
  const { unauthenticated, protectedHeaders } = config.reading;
  const view = {
    names: viewNames(installation.id, config.hostname),
    secret: installation.viewSecret,
    policy: { unauthenticated, protectedHeaders },
    spool: encryptedSpool(),
  };
  const learning = inboundStory(inbound);
  const unlearning = inboundStory({
    ...inbound,
    directory: { find: async () => [], harvest: async () => undefined },
  });
  const passing = passingStory({ delivered, log });
  const storyOf = ({ direction, keyAway, protocol }: Listener): OutboundStory =>
    direction === 'outbound'
      ? storyForKnown(outbound, passing, nobody)
      : inboundDelivery({
          ...{ story: learning, unlearning, keyAway, delivered, log },
          view: { render: (request) => deliveredView(request, view) },
          readersOf: (address) => owners.readersOf(address),
          replyToEach: protocol === 'lmtp',
        });
  return {
    async of(listener) {
      const story = tracedStory(storyOf(listener), clock);
      const mark = listener.from?.mark ?? null;
      const { protocol, direction, domains, from, strangers, nullSender, trustedProxies } = listener;
      return {
        story: mark === null ? story : markedStory(story, mark),
        relay: {
          ...{ protocol, nobody, trustedProxies: new AddressRanges(trustedProxies) },
          purpose:
            direction === 'inbound'
              ? { direction, domains: new OwnDomains(domains ?? []) }
              : { direction, ownerOf: (address) => owners.ownerOf(address), strangers, nullSender },
          from:
            from === null
              ? null
              : {
                  networks: new AddressRanges(from.networks),
                  certificates:
                    from.certificates.length === 0
                      ? null
                      : await clientCertificates(from.certificates, clock),
                },
        },
      };
    },
  };
}
