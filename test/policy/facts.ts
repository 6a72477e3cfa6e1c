import type { OutboundFacts, RecipientFacts } from '../../src/policy/facts.ts';
import type { CertificateTrust, Condition, Rule } from '../../src/policy/rules.ts';

/** Material for the policy's tests: everything sound, and each test changes what it is about. */

const anything: Condition = {
  recipient: null,
  recipientDomain: null,
  sender: null,
  senderDomain: null,
  login: null,
};

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
    ...changed,
    when: { ...anything, ...changed.when },
  };
}

export function recipient(address: string, ...trust: CertificateTrust[]): RecipientFacts {
  return {
    address,
    visible: true,
    certificates:
      trust.length === 0
        ? { kind: 'none' }
        : { kind: 'usable', certificates: trust.map((each) => ({ trust: each })) },
  };
}

export function facts(changed: Partial<OutboundFacts>): OutboundFacts {
  return {
    principal: { login: 'alice' },
    from: 'alice@example.org',
    sender: null,
    belongs: ['alice@example.org'],
    protection: 'none',
    signing: { kind: 'available' },
    recipients: [recipient('bob@partner.example', 'verified')],
    ...changed,
  };
}
