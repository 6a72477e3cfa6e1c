import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALICE, type CardDesk, cardDesk, type DeskGateway } from './support/card-desk.ts';

/**
 * M2: insert the card, certificates appear in the personal store. With Sealgate nothing but the insertion is done: it is noticed at
 * once, the certificates are imported and mapped to addresses.
 */

let desk: CardDesk;
let gateway: DeskGateway;

beforeAll(async () => {
  desk = await cardDesk({ inserted: false });
  await desk.sendEncrypted('for Alice alone');
  gateway = await desk.serve('m2');
});
afterAll(() => desk?.stop());

async function expectSigned(sent: Promise<string>): Promise<void> {
  expect(await sent).toMatch(/^250/);
  const [mail] = desk.system.taken();
  expect((await desk.verified(mail?.octets)).signer).toBe(ALICE);
}

describe('M2: the card is inserted', () => {
  it('before, the gateway runs; what needs a card that nobody has seen is refused for now: insert it', async () => {
    expect(await gateway.reply(/^451 .*No card is in the reader; insert it/)).toContain('alice-card');
    expect((await gateway.read()).join()).toMatch(/UNAVAILABLE.*No card is in the reader; insert it/);
    expect(gateway.events('key.token-inserted')).toEqual([]);
    expect(desk.system.taken()).toEqual([]);
  });

  it('is noticed at once, with the reader it is in, and nobody is asked for anything', async () => {
    await desk.reader.insert();
    expect(await gateway.event('key.token-inserted')).toMatchObject({
      ...{ source: 'alice-card', token: ALICE },
      reader: desk.reader.reader(0).name,
    });
    expect(gateway.events('key.address-mismatch')).toEqual([]);
    expect(desk.person.prompts).toEqual([]);
  });

  it('its certificates are there with their addresses and whose they are, without the PIN', async () => {
    const { code, out } = await desk.command(gateway, 'keys', 'list', '--json');
    expect(code).toBe(0);
    const [{ keys }] = JSON.parse(out) as [{ keys: { certificate: { addresses: string[] } }[] }];
    const seen = { certificate: expect.objectContaining({ addresses: [ALICE] }), logins: [ALICE] };
    expect(keys).toEqual(desk.card.keys.map(() => expect.objectContaining(seen)));
    expect(desk.person.prompts).toEqual([]);
    expect((await desk.card.counters()).pinsPresented).toBe(0);
  });

  it('it signs for its address and opens what is encrypted to it, once the PIN is typed', async () => {
    const sent = gateway.send('from the card');
    await desk.person.asked();
    desk.person.type(desk.card.pin);
    await expectSigned(sent);
    expect((await gateway.read()).join()).toContain('for Alice alone');
  });

  it('after a restart without the card it is known whose it is: insert it, by its name; inserted, it is in service', async () => {
    await gateway.stop();
    await desk.reader.remove();
    gateway = await desk.serve('m2');
    const words = /The card \\?"alice@sealgate\.test\\?" is not in the reader; insert it/;
    const [sent, read] = await Promise.all([gateway.send('without the card'), gateway.read()]);
    expect(sent).toMatch(/^451 /);
    expect(sent).toMatch(words);
    expect(read.join()).toMatch(/UNAVAILABLE/);
    expect(read.join()).toMatch(words);
    await desk.reader.insert();
    await gateway.event('key.token-inserted');
    const again = gateway.send('with the card');
    await desk.person.asked();
    desk.person.type(desk.card.pin);
    await expectSigned(again);
  });

  it('with its PIN in a file, a mail goes out signed and nobody has done anything but the insertion', async () => {
    await gateway.stop();
    await desk.reader.remove();
    const file = join(desk.system.folder, 'card.pin');
    await writeFile(file, desk.card.pin, { mode: 0o600 });
    gateway = await desk.serve('m2-file', { token: ALICE, pin: { file } });
    await gateway.reply(/^451 .*The card "alice@sealgate\.test" is not in the reader; insert it/);
    const prompts = desk.person.prompts.length;
    await desk.reader.insert();
    await gateway.event('key.process-started');
    await expectSigned(gateway.send('by itself'));
    expect((await gateway.read()).join()).toContain('for Alice alone');
    expect(desk.person.prompts).toHaveLength(prompts);
  });
});
