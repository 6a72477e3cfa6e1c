import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { reloadPolicy } from '../../src/commands/reload-policy.ts';
import { loadConfig } from '../../src/config/load.ts';
import { FakeLog } from '../pipeline/support/ports.ts';
import {
  addressOf,
  type MailSystem,
  opensslOpen,
  opensslVerify,
  startMailSystem,
} from '../support/mail-system.ts';

describe('M14: sign and encrypt per mail, by a tag or a header field', () => {
  let system: MailSystem;
  beforeAll(async () => {
    system = await startMailSystem({
      users: ['alice', 'bob', 'carol'],
      pinned: ['bob'],
      rules: [
        {
          name: 'as-the-author-wants',
          ...{ sign: 'never', encrypt: 'never', stripTag: true },
          steering: { tags: true, header: 'X-Steer' },
        },
      ],
    });
  });
  afterAll(() => system.stop());

  const send = async (subject: string, headers: Record<string, string> = {}, to = 'bob') => {
    await system.send('alice', { to: addressOf(to), subject, text: 'the boathouse key', headers });
    const [only, ...others] = system.taken();
    if (only === undefined || others.length > 0) throw new Error('one mail was expected');
    return only.octets;
  };

  it('without a word of the author the rule decides', async () => {
    const octets = await send('[other] Offer');
    expect(octets.toString()).toMatch(/^Subject: \[other\] Offer\r$/m);
    expect(octets.toString()).toContain('the boathouse key');
  });

  it('a tag encrypts, signs, and is gone', async () => {
    const octets = await send('[encrypt] [sign] Grüße');
    expect(octets.toString()).not.toMatch(/boathouse|\[encrypt\]|\[sign\]/);
    const inside = await opensslOpen(system, octets, 'bob');
    expect(inside.toString()).toContain('the boathouse key');
    expect(inside.toString()).not.toMatch(/\[encrypt\]|\[sign\]/);
    const [read] = (await system.read('bob')).slice(-1);
    expect(JSON.stringify(read)).not.toContain('[encrypt]');
  });

  it('a header field does the same, and is gone', async () => {
    const octets = await send('Offer', { 'X-Steer': 'sign' });
    expect(octets.toString()).not.toMatch(/x-steer/i);
    expect((await opensslVerify(system, octets)).toString()).toContain('the boathouse key');
  });

  it('what is asked for and cannot be done is said, and nothing leaves', async () => {
    await expect(send('[encrypt] Offer', {}, 'carol')).rejects.toThrow(
      /5\.7\.1 .*carol@.*no valid certificate/,
    );
    expect(system.taken()).toEqual([]);
  });

  it('another rule, taken while the gateway runs, lets nobody lower it; a wrong file changes nothing', async () => {
    const loaded = await loadConfig(system.configFile);
    if (loaded.kind === 'invalid') throw new Error('the configuration is wrong');
    const settings = parse(await readFile(system.configFile, 'utf8'));
    const log = new FakeLog();
    const strict = { name: 'strict', sign: 'require', encrypt: 'require', steering: { tags: true } };
    const reload = async (rules: unknown) => {
      await writeFile(system.configFile, stringify({ ...settings, policy: { rules } }));
      await reloadPolicy(system.configFile, loaded.config, system.gateway, log);
    };
    await reload([strict]);
    expect((await send('[plain] Offer')).toString()).not.toContain('boathouse');
    await reload([{ ...strict, encrypt: 'nevr' }]);
    expect(log.events.at(-1)).toMatchObject({ event: 'policy.reload-refused' });
    expect((await send('[plain] Offer')).toString()).not.toContain('boathouse');
  });
});
