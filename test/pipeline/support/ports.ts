import type { DecryptionKey, SigningKey } from '../../../src/cms/keys.ts';
import { SealgateError } from '../../../src/errors.ts';
import { newMailId, newSessionId, type SessionId } from '../../../src/ids.ts';
import type { Event } from '../../../src/log/events.ts';
import { bufferSource, octetsInMemory } from '../../../src/octets/buffer-source.ts';
import { collectFrom } from '../../../src/octets/collect.ts';
import type { OctetSource } from '../../../src/octets/source.ts';
import type {
  CertificateDirectory,
  DeliveredVariants,
  HandOver,
  HandOverOutcome,
  Harvest,
  Keyring,
  KnownCertificate,
  NoSigningKey,
  Origin,
  OwnCertificate,
  Principal,
  Submission,
  Variant,
} from '../../../src/pipeline/ports.ts';
import type { Holding, MailToHold } from '../../../src/pipeline/waiting.ts';
import type { Rule } from '../../../src/policy/rules.ts';
import type { Recipient } from '../../../src/smtp/envelope.ts';
import { ALWAYS } from '../../policy/always.ts';
import { principalNamed } from '../../support/principal.ts';
import type { Person } from './people.ts';

/** The ports of the two stories, as small as they can be; each can be told to be away or to have a defect. */

export class FakeLog {
  readonly events: Event[] = [];
  write(event: Event): void {
    this.events.push(event);
  }
  named<N extends Event['event']>(name: N): Extract<Event, { event: N }>[] {
    return this.events.filter((event): event is Extract<Event, { event: N }> => event.event === name);
  }
}

/** Every person owns the address and the key of that address, and nothing else. */
export class FakeKeyring implements Keyring {
  readonly people: readonly Person[];
  /** Thrown by the next questions. */
  signingTrouble: Error | null = null;
  decryptionTrouble: Error | null = null;
  /** What `unseen` says: the keys are on a card that was never inserted. */
  unseenText: string | null = null;
  signatures = 0;
  readonly askedFor: string[] = [];

  constructor(people: readonly Person[]) {
    this.people = people;
  }

  addressesOf({ login }: Principal): readonly string[] {
    return login.includes('@') ? [login] : [];
  }

  async signingKeys(principal: Principal, address: string): Promise<readonly SigningKey[]> {
    if (this.signingTrouble !== null) throw this.signingTrouble;
    if (!this.addressesOf(principal).includes(address)) return [];
    return this.#of(principal).map(({ signing }) => ({
      ...signing,
      sign: (scheme, data) => {
        this.signatures++;
        return signing.sign(scheme, data);
      },
    }));
  }

  whyNoSigningKey(_principal: Principal, address: string): NoSigningKey {
    const publicText = `This login has no key that signs for ${address}.`;
    return { reason: 'none', duration: 'permanent', publicText };
  }

  ownCertificates(principal: Principal): readonly OwnCertificate[] {
    if (this.decryptionTrouble !== null) throw this.decryptionTrouble;
    if (this.unseenText !== null) return [];
    return this.#of(principal).map(({ decryption: { certificate, readsOaep = true } }) => ({
      certificate,
      readsOaep,
    }));
  }

  unseen(): string | null {
    return this.unseenText;
  }

  async decryptionKeys(principal: Principal): Promise<readonly DecryptionKey[]> {
    this.askedFor.push(principal.login);
    if (this.decryptionTrouble !== null) throw this.decryptionTrouble;
    return this.#of(principal).map(({ decryption }) => decryption);
  }

  #of({ login }: Principal): readonly Person[] {
    return this.people.filter(({ address }) => address === login);
  }
}

export class FakeDirectory implements CertificateDirectory {
  readonly known = new Map<string, KnownCertificate[]>();
  readonly harvested: Harvest[] = [];
  readonly lookups: string[] = [];
  trouble: Error | null = null;
  /** Why a source that might know more cannot be asked; null: each answers. */
  away: string | null = null;

  knows(
    person: Person,
    capabilities: readonly string[] = [],
    trust: KnownCertificate['trust'] = 'pinned',
  ): this {
    const known = { certificate: person.certificate, trust, capabilities, source: 'mail' } as const;
    this.known.set(person.address, [...(this.known.get(person.address) ?? []), known]);
    return this;
  }

  async find(address: string, incomplete?: (reason: string) => void): Promise<readonly KnownCertificate[]> {
    this.lookups.push(address);
    if (this.trouble !== null) throw this.trouble;
    if (this.away !== null) incomplete?.(this.away);
    return this.known.get(address) ?? [];
  }

  async harvest(finding: Harvest): Promise<void> {
    if (this.trouble !== null) throw this.trouble;
    this.harvested.push(finding);
  }
}

export class FakeDelivered implements DeliveredVariants {
  readonly keys = new Set<string>();
  trouble: Partial<Record<'has' | 'record' | 'forget', Error>> = {};

  async has(key: string): Promise<boolean> {
    if (this.trouble.has !== undefined) throw this.trouble.has;
    return this.keys.has(key);
  }

  async record(key: string): Promise<void> {
    if (this.trouble.record !== undefined) throw this.trouble.record;
    this.keys.add(key);
  }

  async forget(keys: readonly string[]): Promise<void> {
    if (this.trouble.forget !== undefined) throw this.trouble.forget;
    for (const key of keys) this.keys.delete(key);
  }
}

export class FakeHolding implements Holding {
  readonly held: MailToHold[] = [];
  trouble: Error | null = null;

  async hold(mails: readonly MailToHold[]): Promise<void> {
    if (this.trouble !== null) throw this.trouble;
    for (const mail of mails) {
      const { encryptable, readable } = mail;
      this.held.push({
        ...mail,
        encryptable: await inMemory(encryptable),
        readable: readable === null ? null : await inMemory(readable),
      });
    }
  }

  /** Who waits, sorted. */
  get waiting(): string[] {
    return this.held.flatMap(({ recipients }) => recipients.map(({ recipient: one }) => textOf(one))).sort();
  }
}

export const ACCEPTED: HandOverOutcome = {
  kind: 'accepted',
  reply: { code: 250, lines: ['2.0.0 queued as 7'] },
};
export const TEMPORARY: HandOverOutcome = {
  kind: 'rejected',
  reply: { code: 450, lines: ['4.2.0 greylisted'] },
};
export const PERMANENT: HandOverOutcome = {
  kind: 'rejected',
  reply: { code: 554, lines: ['5.7.1 not here'] },
};
export const LOST: HandOverOutcome = { kind: 'unreachable', reason: 'it closed the connection' };

/** Answers as it is told, then accepts. */
export class FakeUpstream implements HandOver {
  readonly taken: Variant[] = [];
  readonly offered: Variant[] = [];
  upstream = { tls: true, requireTls: true };
  readonly #outcomes: (HandOverOutcome | Error)[];

  constructor(...outcomes: (HandOverOutcome | Error)[]) {
    this.#outcomes = outcomes;
  }

  async deliver(offered: Variant): Promise<HandOverOutcome> {
    const variant = { ...offered, octets: await inMemory(offered.octets) };
    this.offered.push(variant);
    const outcome = this.#outcomes.shift() ?? ACCEPTED;
    if (outcome instanceof Error) throw outcome;
    if (outcome.kind === 'accepted') this.taken.push(variant);
    return outcome;
  }

  /** The one message that this address got. */
  messageFor(address: string): Buffer {
    const of = this.taken.filter(({ recipients }) => recipients.some((one) => textOf(one) === address));
    const [variant] = of;
    if (variant === undefined || of.length !== 1) throw new Error(`${address} got ${of.length} messages`);
    const octets = octetsInMemory(variant.octets);
    if (octets === null) throw new Error('the message is not in memory');
    return octets;
  }

  get served(): string[] {
    return this.taken.flatMap(({ recipients }) => recipients.map(textOf)).sort();
  }
}

/** What lies in a spool is gone after the answer. */
async function inMemory(octets: OctetSource): Promise<OctetSource> {
  return octetsInMemory(octets) === null ? bufferSource(await collectFrom(octets)) : octets;
}

export function textOf({ mailbox }: Recipient): string {
  return `${mailbox.localPart}@${mailbox.domain}`;
}

export function recipient(address: string): Recipient {
  const at = address.lastIndexOf('@');
  return { mailbox: { localPart: address.slice(0, at), domain: address.slice(at + 1) }, parameters: [] };
}

export function origin(login: string, session: SessionId = newSessionId()): Origin {
  return { session, listener: 'submission', principal: principalNamed(login), remote: '192.0.2.1' };
}

export function submission(login: string, to: readonly string[], octets: Buffer): Submission {
  const at = login.lastIndexOf('@');
  return {
    id: newMailId(),
    origin: origin(login),
    envelope: {
      reversePath: { localPart: login.slice(0, at), domain: login.slice(at + 1) },
      mailParameters: [],
      recipients: to.map(recipient),
    },
    octets: bufferSource(octets),
  };
}

/** Header lines, an empty line, and a body. Non-ASCII text is UTF-8. */
export function mail(header: readonly string[], body = 'the boathouse key\r\n'): Buffer {
  return Buffer.from(`${header.join('\r\n')}\r\n\r\n${body}`);
}

export function rule(changes: Partial<Rule> = {}): Rule {
  return {
    name: 'all',
    when: ALWAYS,
    sign: 'require',
    encrypt: 'if-possible',
    withoutCertificate: 'refuse-all',
    form: 'clear',
    subject: 'keep',
    alreadyProtected: 'forward',
    minTrust: 'harvested',
    revocation: null,
    requireTls: 'no',
    algorithms: null,
    steering: null,
    stripTag: false,
    ...{ introduce: false, notify: [], appendTo: null },
    ...changes,
  };
}

/** The first rule for these recipients, before others. */
export function ruleFor(to: readonly string[], changes: Partial<Rule>): Rule {
  return rule({ name: `for ${to.join(' ')}`, when: { ...ALWAYS, recipient: to }, ...changes });
}

export function away(code = 'key.unavailable', publicText = 'The token is not there.'): SealgateError {
  return new SealgateError({ code, duration: 'temporary', publicText, reason: 'CKR_DEVICE_REMOVED' });
}
