import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VirtualCard } from '../support/services/virtual-card.ts';
import { ALICE, BOB, type CardDesk, cardDesk, type DeskGateway } from './support/card-desk.ts';

/**
 * M8: with the wrong card or PIN the mail is not sent: the reason is told, the client keeps the mail, and no card is locked by a
 * program.
 */

const WRONG = '999999';
let desk: CardDesk;
let gateway: DeskGateway;
let bobsCard: VirtualCard;

beforeAll(async () => {
  desk = await cardDesk({ keys: [{ reference: '9a' }, { reference: '9d' }] });
  bobsCard = await desk.reader.newCard(desk.system.pki, {
    address: BOB,
    pin: '271828',
    keys: [{ reference: '9a', type: 'p-256' }],
  });
  await desk.sendEncrypted('for Alice alone');
});
afterAll(() => desk?.stop());

async function change(card: VirtualCard): Promise<void> {
  await desk.reader.remove();
  await desk.reader.insert(card);
}

const presented = async (card: VirtualCard): Promise<number> => (await card.counters()).pinsPresented;

async function expectSent(sent: Promise<string>): Promise<void> {
  expect(await sent).toMatch(/^250/);
  const [mail, ...more] = desk.system.taken();
  expect(more).toEqual([]);
  expect((await desk.verified(mail?.octets)).signer).toBe(ALICE);
}

describe('M8: a person types the PIN', () => {
  beforeAll(async () => {
    gateway = await desk.serve('m8');
    await gateway.event('key.token-inserted');
  });
  afterAll(() => gateway?.stop());

  it('a wrong PIN: asked for again with the reason; not typed again, the mail is refused with it', async () => {
    const sent = gateway.send('wrong');
    await desk.person.asked();
    desk.person.type(WRONG);
    const again = await desk.person.asked();
    expect(again.error).toMatch(/^The token “alice@sealgate\.test” refused the PIN.*tries are left/);
    expect(await desk.card.triesLeft()).toMatchObject({ pin: 2 });
    desk.person.cancel();
    expect(await sent).toMatch(/^451 .*could not be signed.*refused the PIN.*tries are left.*cancelled/);
    expect(desk.system.taken()).toEqual([]);
    expect(await gateway.event('key.pin-refused')).toMatchObject({ token: ALICE });
    expect(gateway.output()).not.toContain(WRONG);
  });

  it('it is not tried again by itself, and the right one works', async () => {
    await change(desk.card);
    await gateway.event('key.token-inserted');
    const sent = gateway.send('right');
    await desk.person.asked();
    expect(await presented(desk.card)).toBe(1);
    desk.person.type(desk.card.pin);
    await expectSent(sent);
    expect(await desk.card.triesLeft()).toMatchObject({ pin: 3 });
  });

  it('reading with a wrong PIN: nothing is shown in its place, the reason is told, and the right one shows the mail', async () => {
    await change(desk.card);
    await gateway.event('key.token-inserted');
    const before = await desk.system.stored('alice');
    const read = gateway.read();
    await desk.person.asked();
    desk.person.type(WRONG);
    await desk.person.asked();
    desk.person.cancel();
    const [said = ''] = await read;
    expect(said).toContain('UNAVAILABLE');
    expect(said).toMatch(/refused the PIN.*tries are left/);
    expect(said).not.toContain('for Alice alone');
    expect(await desk.card.triesLeft()).toMatchObject({ pin: 2 });
    await change(desk.card);
    await gateway.event('key.token-inserted');
    const again = gateway.read();
    await desk.person.asked();
    desk.person.type(desk.card.pin);
    expect((await again).join()).toContain('for Alice alone');
    expect(await desk.card.triesLeft()).toMatchObject({ pin: 3 });
    expect(await desk.system.stored('alice')).toEqual(before);
  });

  it('blocked by the person: the last try is warned of, then it is said what to do, and nobody is asked', async () => {
    await change(desk.card);
    await gateway.event('key.token-inserted');
    const sent = gateway.send('blocked');
    for (const left of [3, 2, 1]) {
      const { description } = await desk.person.asked();
      expect(description.includes('LAST TRY')).toBe(left === 1);
      expect(await desk.card.triesLeft()).toMatchObject({ pin: left });
      desk.person.type(WRONG);
    }
    const words =
      /^554 .*The PIN of the token "alice@sealgate\.test" is blocked\. .*sealgate card pin unblock.*PUK/;
    expect(await sent).toMatch(words);
    const prompts = desk.person.prompts.length;
    expect(await gateway.send('still blocked')).toMatch(words);
    expect(desk.person.prompts).toHaveLength(prompts);
    const { code, out } = await desk.command(gateway, 'card', 'status');
    expect(code).toBe(1);
    expect(out).toMatch(/PIN +BLOCKED/);
    expect(out).toMatch(/1\. The PIN of alice@sealgate\.test .* is blocked: .*“sealgate card pin unblock”/);
    expect(desk.system.taken()).toEqual([]);
  });

  it('unblocked with the PUK, while the gateway runs: the new PIN is asked for and works', async () => {
    const { code, out } = await desk.command(
      { ...gateway, environment: { SEALGATE_PUK: desk.card.puk, SEALGATE_NEW_PIN: '314159' } },
      ...['card', 'pin', 'unblock'],
    );
    expect({ code, out }).toEqual({ code: 0, out: 'The new PIN is set (by the PUK).\n' });
    await gateway.event('key.token-inserted');
    const sent = gateway.send('unblocked');
    await desk.person.asked();
    desk.person.type('314159');
    await expectSent(sent);
  });

  it('another person’s card: refused with both addresses, before anybody is asked for a PIN', async () => {
    await change(bobsCard);
    await gateway.event('key.token-inserted');
    const prompts = desk.person.prompts.length;
    const said = await gateway.send('with the card of Bob');
    expect(said).toMatch(/^451 /);
    expect(said).toContain(ALICE);
    expect(said).toContain(`for ${BOB}`);
    expect(desk.person.prompts).toHaveLength(prompts);
    expect(await presented(bobsCard)).toBe(0);
    expect(desk.system.taken()).toEqual([]);
  });

  it('another person’s card: her mail waits for hers, and he is asked for no PIN', async () => {
    const prompts = desk.person.prompts.length;
    const [said = ''] = await gateway.read();
    expect(said).not.toContain('for Alice alone');
    expect(said).toContain('UNAVAILABLE');
    expect((await gateway.readByPop3()).join()).toMatch(/^b?['"]?-ERR \[SYS\/TEMP\]/);
    expect(desk.person.prompts).toHaveLength(prompts);
    expect(await presented(bobsCard)).toBe(0);
  });
});

describe('M8: the PIN is in a file', () => {
  let file: string;
  let card: VirtualCard;
  beforeAll(async () => {
    file = join(desk.system.folder, 'card.pin');
    await writeFile(file, WRONG, { mode: 0o600 });
    card = await desk.reader.newCard(desk.system.pki, {
      address: ALICE,
      keys: [{ reference: '9a', type: 'p-256' }],
    });
    await change(card);
    gateway = await desk.serve('m8-file', settings());
    await gateway.event('key.pin-refused');
  });
  afterAll(() => gateway?.stop());
  const settings = () => ({ serial: card.guid.slice(16), pin: { file } });

  it('a wrong PIN costs one try, whatever is sent, taken out and restarted, and the mails are refused with it', async () => {
    const refused = /^554 .*The token "alice@sealgate\.test" refused .*PIN.*not .* again by itself/;
    const said = await Promise.all(['one', 'two'].map((text) => gateway.send(text)));
    for (const each of said) expect(each).toMatch(refused);
    await desk.reader.remove();
    await gateway.reply(/^451 .*The card "alice@sealgate\.test" .*not in the reader.*insert it/);
    await desk.reader.insert(card);
    await gateway.reply(refused);
    await gateway.stop();
    gateway = await desk.serve('m8-file', settings());
    expect(await gateway.send('after a restart')).toMatch(refused);
    expect(await card.triesLeft()).toMatchObject({ pin: 2 });
    expect(await presented(card)).toBe(1);
    expect(desk.system.taken()).toEqual([]);
  });

  it('corrected in the file, it works without a restart', async () => {
    await writeFile(file, card.pin);
    await gateway.event('key.process-started');
    await expectSent(gateway.send('right'));
    expect(await card.triesLeft()).toMatchObject({ pin: 3 });
  });

  it('another person’s card: both are named, and the PIN is not sent to it', async () => {
    await change(bobsCard);
    await gateway.event('key.token-removed');
    const said = await gateway.reply(/^451 .*there is/);
    expect(said).toContain('The card "alice@sealgate.test" with serial');
    expect(said).toContain('but there is "bob@sealgate.test"');
    expect(said).toContain('insert the right one');
    expect(await presented(bobsCard)).toBe(0);
    // The first look may still be under way; one that went on for ever would let no three mails pass in between.
    for (let before = -1, now = 0; before !== now; ) {
      before = (await bobsCard.counters()).commands;
      for (const text of ['one', 'two', 'three']) expect(await gateway.send(text)).toMatch(/^451/);
      now = (await bobsCard.counters()).commands;
    }
    await change(card);
    await gateway.event('key.process-started');
    await expectSent(gateway.send('the right one again'));
  });
});
