import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import { type Person, Town } from './support/people.ts';
import {
  FakeDelivered,
  FakeDirectory,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  mail,
  rule,
  submission,
} from './support/ports.ts';

const [ALICE, BOB, MALLORY] = ['alice@example.org', 'bob@example.org', 'mallory@example.org'];

let town: Town;
let alice: Person;
let upstream: FakeUpstream;
let keyring: FakeKeyring;
beforeAll(async () => {
  town = await Town.found();
  alice = await town.person(ALICE);
});
afterAll(() => town?.end());
beforeEach(() => {
  upstream = new FakeUpstream();
  keyring = new FakeKeyring([alice]);
});

/** Under a rule that asks for nothing: what is refused here is refused for who it says it is from. */
async function send(login: string, header: readonly string[]) {
  const story = outboundStory({
    ...{ keyring, directory: new FakeDirectory(), delivered: new FakeDelivered(), clock: () => new Date() },
    ...{ rules: [rule({ sign: 'never', encrypt: 'never' })], log: new FakeLog() },
  });
  return story.submit(submission(login, [BOB], mail(header)), upstream);
}

describe('From and Sender must belong to the login', () => {
  it.each([
    ['as herself', [`From: ${ALICE}`]],
    ['with her domain in other letters', ['From: alice@EXAMPLE.org']],
    ['with herself as Sender', [`From: ${ALICE}`, `Sender: Alice <${ALICE}>`]],
  ])('alice may send %s', async (_, header) => {
    expect((await send(ALICE, header)).kind).toBe('accepted');
  });

  it.each([
    ['as bob', [`From: ${BOB}`]],
    ['as a mailbox that differs in case', ['From: Alice@example.org']],
    ['as herself and bob', [`From: ${ALICE}, ${BOB}`]],
    ['with two From fields', [`From: ${ALICE}`, `From: ${ALICE}`]],
    ['without From', [`Sender: ${ALICE}`]],
    ['as a group', [`From: Team: ${ALICE};`]],
    ['with bob as Sender', [`From: ${ALICE}`, `Sender: ${BOB}`]],
    ['as bob with herself as Sender', [`From: ${BOB}`, `Sender: ${ALICE}`]],
    ['with an unclear Sender', [`From: ${ALICE}`, 'Sender: <<']],
    ['with a Sender that only lenient clients see', [`From: ${ALICE}`, `Sender : ${BOB}`]],
    ['as bob, resent by herself', [`Resent-From: ${ALICE}`, `From: ${BOB}`]],
  ])('alice may not send %s: 550 5.7.1, and nothing leaves', async (_, header) => {
    const { kind, reply } = await send(ALICE, header);
    expect(kind).toBe('refused');
    expect(reply.code).toBe(550);
    expect(reply.lines[0]).toMatch(/^5\.7\.1 .* \(mail \w+\)$/);
    expect(upstream.offered).toEqual([]);
  });

  it('mallory never gets alice’s key by writing alice’s name', async () => {
    const story = outboundStory({
      ...{ keyring, directory: new FakeDirectory(), delivered: new FakeDelivered(), clock: () => new Date() },
      ...{ rules: [rule()], log: new FakeLog() },
    });
    for (const from of [`From: ${ALICE}`, `From: ${MALLORY}, ${ALICE}`, `From: "${ALICE}" <${MALLORY}>`]) {
      await story.submit(submission(MALLORY, [BOB], mail([from])), upstream);
    }
    expect(keyring.signatures).toBe(0);
    expect(upstream.offered).toEqual([]);
  });

  it('a login that has no address here may send nothing', async () => {
    expect((await send('nobody', [`From: ${ALICE}`])).reply.code).toBe(550);
  });

  it('a name with line ends and control characters stays inside one printable line', async () => {
    const { reply } = await send('eve\r\n250 ok\x1b[31m', [`From: ${BOB}`]);
    expect(reply.lines).toHaveLength(1);
    expect(reply.lines[0]).toMatch(/^[\x20-\x7e]+$/);
  });
});
