import { describe, expect, it } from 'vitest';
import type { SessionId } from '../../src/ids.ts';
import { silentLog } from '../../src/log/log.ts';
import type { CertificateDirectory, Origin } from '../../src/pipeline/ports.ts';
import { RecipientLookups } from '../../src/pipeline/recipient-certificates.ts';
import { judgeRecipient } from '../../src/pipeline/refuse-recipient.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { ALWAYS } from '../policy/always.ts';
import { principalNamed } from '../support/principal.ts';

const rule = (changes: Partial<Rule>): Rule => ({
  name: 'strict',
  when: ALWAYS,
  sign: 'require',
  encrypt: 'require',
  withoutCertificate: 'refuse-recipient',
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
  ...changes,
});

const origin: Origin = {
  session: 's' as SessionId,
  listener: 'submission',
  principal: principalNamed('alice'),
  remote: '127.0.0.1',
};

function judge(rules: Rule[], directory: Partial<CertificateDirectory>, domain = 'x.test') {
  const whole: CertificateDirectory = { find: async () => [], harvest: async () => undefined, ...directory };
  const lookups = new RecipientLookups(whole, silentLog, () => true);
  const recipient = { mailbox: { localPart: 'carol', domain }, parameters: [] };
  return judgeRecipient(
    origin,
    recipient,
    lookups,
    { rules, groups: [], memberships: null, revocation: 'soft' },
    () => new Date(),
  );
}

describe('the judgement at RCPT TO', () => {
  it('is not asked for unless a rule wants it, so that a pipeline does not wait', () => {
    expect(judge([rule({ withoutCertificate: 'refuse-all' })], {})).toBeNull();
    expect(judge([rule({ encrypt: 'if-possible' })], {})).toBeNull();
  });

  it('refuses for good where no certificate is known, naming the recipient', async () => {
    expect(await judge([rule({})], {})).toMatchObject({
      code: 550,
      lines: [expect.stringContaining('carol@x.test')],
    });
  });

  it('refuses for now where the directory is away', async () => {
    const find = async () => {
      throw new Error('away');
    };
    expect(await judge([rule({})], { find })).toMatchObject({
      code: 450,
      lines: [expect.stringMatching(/^4\./)],
    });
  });

  it('leaves to the message what depends on From', async () => {
    const first = rule({
      name: 'boss',
      when: { ...rule({}).when, sender: ['boss@x.test'] },
      encrypt: 'never',
    });
    expect(await judge([first, rule({})], {})).toBeNull();
  });

  it('says it in US-ASCII on one line of a reply, however long the domain', async () => {
    const reply = await judge([rule({})], {}, `${'ü'.repeat(200)}.test`);
    expect(reply?.lines).toHaveLength(1);
    expect(reply?.lines[0]).toMatch(/^[\x20-\x7e]{1,500}$/);
  });
});
