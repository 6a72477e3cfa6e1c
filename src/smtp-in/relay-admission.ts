import type { AddressRanges } from '../connections/address-range.ts';
import type { Principal } from '../pipeline/ports.ts';
import type { Mailbox, ReversePath } from '../smtp/envelope.ts';
import { type Reply, reply } from '../smtp/reply.ts';
import type { Admission, Admitted } from './admission.ts';
import type { OwnDomains } from './own-domains.ts';

export type RelaySettings = {
  protocol: 'smtp' | 'lmtp';
  purpose:
    | { direction: 'inbound'; domains: OwnDomains }
    | {
        direction: 'outbound';
        /** Whose address it is; null: nobody's. */
        ownerOf(address: string): Principal | null;
        strangers: 'refuse' | 'pass';
        nullSender: 'refuse' | 'pass';
      };
  /** Who mail is taken from; null: anybody. `certificates` null: nobody is let in by one, and none is asked for. */
  from: { networks: AddressRanges; certificates: ShownCertificates | null } | null;
  trustedProxies: AddressRanges;
  /** Of mail of which nothing is known of whose it is. It has no address and no key. */
  nobody: Principal;
};

/** Certificates that clients are let in for. */
export interface ShownCertificates {
  /** @param chain DER, the client's own certificate first; nothing in it is believed */
  admit(chain: readonly Buffer[]): boolean;
}

/**
 * Whose mail a listener for other servers takes.
 *
 * Must never happen: mail of a stranger for somebody else's domain is taken; what a stranger says of himself admits him; a certificate
 * that was shown outlives the connection, or the words of a proxy about another client.
 */
export class RelayAdmission implements Admission {
  readonly protocol: 'smtp' | 'lmtp';
  readonly trustsPeer: boolean;
  readonly #settings: RelaySettings;
  #remote: string;
  #hasShown = false;
  /** A proxy has said whose connection it is: what is shown from then on is the proxy's own. */
  #isTold = false;

  /** @param peer address of the client, by the system's or a balancer's word; empty: nobody knows */
  constructor(settings: RelaySettings, peer: string) {
    this.#settings = settings;
    this.#remote = peer;
    this.protocol = settings.protocol;
    this.trustsPeer = settings.trustedProxies.has(peer);
  }

  get remote(): string {
    return this.#remote;
  }

  secured(chain: readonly Buffer[]): void {
    this.#hasShown =
      !this.#isTold && chain.length > 0 && this.#settings.from?.certificates?.admit(chain) === true;
  }

  clientIs(address: string | null): void {
    this.#remote = address ?? '';
    this.#isTold = true;
    this.#hasShown = false;
  }

  judgeSender(reversePath: ReversePath): Admitted {
    const { from, purpose, nobody } = this.#settings;
    if (from !== null && !this.#hasShown && !from.networks.has(this.#remote)) return refused(NOT_KNOWN);
    if (purpose.direction === 'inbound') return { kind: 'admitted', principal: nobody };
    if (reversePath === null) {
      return purpose.nullSender === 'pass' ? { kind: 'admitted', principal: nobody } : refused(NO_SENDER);
    }
    const owner = purpose.ownerOf(`${reversePath.localPart}@${reversePath.domain}`);
    if (owner !== null) return { kind: 'admitted', principal: owner };
    return purpose.strangers === 'pass' ? { kind: 'admitted', principal: nobody } : refused(STRANGER);
  }

  judgeRecipient(mailbox: Mailbox): Reply | null {
    const { purpose } = this.#settings;
    if (purpose.direction === 'outbound' || purpose.domains.has(mailbox)) return null;
    return NOT_OURS;
  }
}

function refused(refusal: Reply): Admitted {
  return { kind: 'refused', reply: refusal };
}

const NOT_KNOWN = reply(554, '5.7.1', 'Mail is taken from known servers only');
const STRANGER = reply(554, '5.7.1', 'The sender is nobody whose mail is sent from here');
const NO_SENDER = reply(554, '5.7.1', 'Mail without a sender is not taken');
const NOT_OURS = reply(550, '5.7.1', 'Relaying is not permitted');
