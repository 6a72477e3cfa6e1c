import { randomInt } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { foundInMemory } from '../attacks/support/process-memory.ts';
import { requireCommand } from '../support/require-command.ts';
import { swaks } from '../support/services/swaks.ts';
import { ALICE, BOB, type CardDesk, cardDesk, type DeskGateway } from './support/card-desk.ts';

/** Alice sends mail with her card. Who is asked for the PIN, when, and for how long it is good. The tests are one day of hers. */

const PIN = String(randomInt(10_000_000, 100_000_000));
let desk: CardDesk;
let gateway: DeskGateway;

beforeAll(async () => {
  // 9c: a key that the card itself wants the PIN for at each use.
  desk = await cardDesk({ pin: PIN, keys: [{ reference: '9c' }, { reference: '9d' }] });
  await desk.sendEncrypted('for Alice alone');
  gateway = await desk.serve('m7');
  await gateway.event('key.token-inserted');
});
afterAll(() => desk?.stop());

async function takeOut(): Promise<void> {
  await desk.reader.remove();
  await gateway.event('key.token-removed');
}

async function putIn(): Promise<void> {
  await desk.reader.insert();
  await gateway.event('key.token-inserted');
}

async function expectSigned(text: string): Promise<void> {
  const [mail, ...more] = desk.system.taken();
  expect(more).toEqual([]);
  const { content, signer } = await desk.verified(mail?.octets);
  expect(signer).toBe(ALICE);
  expect(content).toContain(text);
}

describe('M7: send a signed mail: PIN prompt; the PIN stays good until the card is taken out', () => {
  it('the prompt names the card and the mail waits for it, then leaves signed', async () => {
    let isSettled = false;
    const sent = gateway.send('the first one').finally(() => {
      isSettled = true;
    });
    const prompt = await desk.person.asked();
    expect(prompt).toMatchObject({ title: `PIN of "${ALICE}"`, error: null });
    expect(prompt.description).toContain(desk.reader.reader(0).name);
    expect(prompt.description).toContain(desk.card.guid.slice(16));
    expect(await gateway.event('key.pin-asked')).toMatchObject({ source: 'alice-card', token: ALICE });
    expect(isSettled).toBe(false);
    expect(desk.system.taken()).toEqual([]);
    desk.person.type(PIN);
    expect(await sent).toMatch(/^250/);
    await expectSigned('the first one');
  });

  it('further mails and reading need no PIN, whatever the program and however many at once', async () => {
    const replies = await Promise.all(['second', 'third', 'fourth'].map((text) => gateway.send(text)));
    expect(replies.filter((reply) => !reply.startsWith('250'))).toEqual([]);
    for (const { octets } of desk.system.taken()) expect((await desk.verified(octets)).signer).toBe(ALICE);
    await using program = await swaks();
    const { accepted, transcript } = await program.send({
      ...{ port: gateway.port('submission'), from: ALICE, to: [BOB], tls: 'starttls' },
      caFile: desk.system.pki.ca.certificateFile,
      auth: { login: ALICE, password: desk.system.user('alice').password },
      message: `From: ${ALICE}\r\nTo: ${BOB}\r\nSubject: by swaks\r\n\r\nby swaks\r\n`,
    });
    expect({ accepted, transcript }).toMatchObject({ accepted: true });
    await expectSigned('by swaks');
    expect((await gateway.read()).join()).toContain('for Alice alone');
    // Another program that looks at the card leaves it as it was.
    expect((await desk.command(gateway, 'card', 'status')).code).toBe(0);
    expect(await gateway.send('after a look at the card')).toMatch(/^250/);
    await expectSigned('after a look at the card');
    expect(desk.person.prompts).toHaveLength(1);
  });

  it('the PIN is in the key process alone: not in the gateway, its log, an argument or an environment', async () => {
    const needle = new Map([['PIN', Buffer.from(PIN)]]);
    const [keyProcess, ...more] = await gateway.children();
    expect(more).toEqual([]);
    expect(await foundInMemory(keyProcess ?? 0, needle)).toEqual(['PIN']);
    expect(await foundInMemory(gateway.child.pid ?? 0, needle)).toEqual([]);
    expect(gateway.output()).not.toContain(PIN);
    expect(processesThatShow(PIN)).toEqual([]);
  });

  it('taken out, it is refused for now with words, and asked for again when the card is back', async () => {
    await takeOut();
    expect(await gateway.send('without the card')).toMatch(
      /^451 .*The card "alice@sealgate\.test" is not in the reader; insert it/,
    );
    await putIn();
    expect(desk.system.taken()).toEqual([]);
    const sent = gateway.send('with the card again');
    await desk.person.asked();
    desk.person.type(PIN);
    expect(await sent).toMatch(/^250/);
    await expectSigned('with the card again');
  });

  it('reading an encrypted mail asks for it as well, and sending then does not', async () => {
    await takeOut();
    await putIn();
    const read = gateway.read();
    expect((await desk.person.asked()).title).toContain(ALICE);
    desk.person.type(PIN);
    expect((await read).join()).toContain('for Alice alone');
    expect(await gateway.send('after reading')).toMatch(/^250/);
    await expectSigned('after reading');
  });

  it('so does reading it by POP3, and a prompt that is cancelled leaves the mail where it is', async () => {
    await takeOut();
    await putIn();
    const before = await desk.system.stored('alice');
    const refused = gateway.readByPop3();
    await desk.person.asked();
    desk.person.cancel();
    expect((await refused).join()).toMatch(/-ERR \[SYS\/TEMP\].*cancelled/);
    await takeOut();
    await putIn();
    const read = gateway.readByPop3();
    await desk.person.asked();
    desk.person.type(PIN);
    expect((await read).join()).toContain('for Alice alone');
    expect(await desk.system.stored('alice')).toEqual(before);
    expect(await desk.card.triesLeft()).toMatchObject({ pin: 3 });
  });

  it('a prompt that is cancelled: the mail is refused for now, and nobody is asked again at once', async () => {
    await takeOut();
    await putIn();
    const before = desk.person.prompts.length;
    const sent = gateway.send('cancelled');
    await desk.person.asked();
    desk.person.cancel();
    expect(await sent).toMatch(/^451 4\.\d\.\d .*could not be signed.*cancelled/);
    expect(await gateway.send('and once more')).toMatch(/^451 .*comes again in \d+ s/);
    expect(desk.person.prompts).toHaveLength(before + 1);
    expect(desk.system.taken()).toEqual([]);
    expect(await desk.card.triesLeft()).toMatchObject({ pin: 3 });
  });

  it('a gateway that ends forgets the PIN, however it ends', async () => {
    await takeOut();
    await putIn();
    const sent = gateway.send('before the end');
    await desk.person.asked();
    desk.person.type(PIN);
    expect(await sent).toMatch(/^250/);
    await expectSigned('before the end');
    const [keyProcess] = await gateway.children();
    gateway.child.kill('SIGKILL');
    while (existsSync(`/proc/${keyProcess}/cmdline`)) await new Promise((resolve) => setTimeout(resolve, 20));
    await gateway.stop();

    gateway = await desk.serve('m7');
    await gateway.event('key.token-inserted');
    const again = gateway.send('after the end');
    await desk.person.asked();
    desk.person.type(PIN);
    expect(await again).toMatch(/^250/);
    await expectSigned('after the end');
  });

  it.each([
    ['the gateway itself asks', async () => ({ ask: 'console' })],
    ['pinentry-tty', async () => ({ ask: 'pinentry', program: await requireCommand('pinentry-tty') })],
  ])('it may be typed on the terminal that the gateway was started from: %s', async (_, source) => {
    await gateway.stop();
    const pin = await source();
    gateway = await desk.serve('m7', { pin }, 'terminal');
    await gateway.event('key.token-inserted');
    const sent = gateway.send('from a terminal');
    await gateway.printed(new RegExp(`Card: ${ALICE}, [^]*PIN: ?$`));
    gateway.child.stdin?.write(`${PIN}\r`);
    expect(await sent).toMatch(/^250/);
    await expectSigned('from a terminal');
    expect(gateway.output()).not.toContain(PIN);
  });
});

/** Processes of this machine with the text in their arguments or environment. */
function processesThatShow(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((pid) => ['cmdline', 'environ'].some((file) => shown(`/proc/${pid}/${file}`).includes(text)));
}

/** Processes end while they are listed; those of others may not be looked into. */
function shown(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
