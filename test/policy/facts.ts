import type { MessageFacts, OriginFacts, OutboundFacts, RecipientFacts } from '../../src/policy/facts.ts';
import type { CertificateTrust, Condition, Rule } from '../../src/policy/rules.ts';
import { ALWAYS } from './always.ts';

/** Material for the policy's tests: everything sound, and each test changes what it is about. */

export function rule(changed: Omit<Partial<Rule>, 'when'> & { when?: Partial<Condition> }): Rule {
  return {
    name: 'rule',
    sign: 'require',
    encrypt: 'require',
    withoutCertificate: 'refuse-all',
    form: 'clear',
    subject: 'keep',
    alreadyProtected: 'forward',
    minTrust: 'verified',
    revocation: null,
    requireTls: 'no',
    algorithms: null,
    steering: null,
    stripTag: false,
    ...{ introduce: false, notify: [], appendTo: null },
    ...changed,
    when: { ...ALWAYS, ...changed.when },
  };
}

export function recipient(address: string, ...trust: CertificateTrust[]): RecipientFacts {
  return {
    address,
    groups: [],
    visible: true,
    certificates:
      trust.length === 0
        ? { kind: 'none' }
        : { kind: 'usable', certificates: trust.map((each) => ({ trust: each })) },
  };
}

export const ORIGIN: OriginFacts = {
  principal: { login: 'alice' },
  loginGroups: [],
  listener: 'submission',
  revocation: 'soft',
};

export const MESSAGE: MessageFacts = {
  octets: 1_000,
  header: { kind: 'values', of: new Map() },
  tags: { found: [], looked: null },
  attachments: [],
};

export function facts(changed: Partial<OutboundFacts>): OutboundFacts {
  return {
    ...ORIGIN,
    from: 'alice@example.org',
    fromGroups: [],
    sender: null,
    message: MESSAGE,
    upstream: { tls: true, requireTls: true },
    belongs: ['alice@example.org'],
    protection: 'none',
    signing: { kind: 'available' },
    recipients: [recipient('bob@partner.example', 'verified')],
    ...changed,
  };
}
