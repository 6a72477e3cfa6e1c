import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { Swaks } from '../support/services/swaks.ts';

describe('From must belong to the login', () => {
  let system: MailSystem;
  let client: Started<Swaks>;

  beforeAll(async () => {
    client = await services.swaks();
    system = await startMailSystem({ users: ['alice', 'bob'], pinned: ['bob'] });
  });
  afterAll(async () => {
    await system?.stop();
    await client?.stop();
  });

  it('alice cannot send with From bob: swaks sees 550 5.7.1 with both names, and nothing leaves', async () => {
    const answer = await swaks(['From: bob@sealgate.test', 'To: bob@sealgate.test', 'Subject: forged']);
    expect(answer).toMatch(/550 5\.7\.1 .*alice@sealgate\.test.*bob@sealgate\.test/);
    expect(system.taken()).toHaveLength(0);
  });

  it.each([
    ['two From fields', ['From: alice@sealgate.test', 'From: bob@sealgate.test']],
    ['two From addresses', ['From: alice@sealgate.test, bob@sealgate.test']],
    ['no From', ['To: bob@sealgate.test']],
    ['Sender bob', ['From: alice@sealgate.test', 'Sender: bob@sealgate.test']],
    ['a From that clients read differently', ['From: <alice@sealgate.test> <bob@sealgate.test>']],
    ['a blank before the colon of a second From', ['From: alice@sealgate.test', 'From : bob@sealgate.test']],
    ['a folded second address', ['From: alice@sealgate.test,', ' bob@sealgate.test']],
  ])('%s is refused', async (_, header) => {
    expect(await swaks([...header, 'Subject: forged'])).toMatch(/5\d\d 5\.\d\.\d /);
    expect(system.taken()).toHaveLength(0);
  });

  it('alice as herself is accepted', async () => {
    expect(await swaks(['From: alice@sealgate.test', 'To: bob@sealgate.test', 'Subject: mine'])).toContain(
      '250 ',
    );
    expect(system.taken()).toHaveLength(1);
  });

  /** The conversation as swaks shows it. */
  async function swaks(header: readonly string[]): Promise<string> {
    const { transcript } = await client.send({
      port: system.submissionPort,
      from: addressOf('alice'),
      to: [addressOf('bob')],
      auth: system.user('alice'),
      tls: 'starttls',
      caFile: system.pki.ca.certificateFile,
      message: [...header, '', 'text', ''].join('\r\n'),
    });
    return transcript;
  }
});
