import { afterAll, beforeAll, expect, test } from 'vitest';
import { encrypted, mailOf } from '../attacks/support/openssl-mail.ts';
import { addressOf } from '../support/mail-system.ts';
import { outerFields, richEntity } from './support/message-classes.ts';
import { loggedIn, type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

/** Everybody sees alice's mailboxes below `Shared`, as colleagues do. */
const SHARED = `
namespace shared {
  type = public
  separator = .
  prefix = Shared.
  location = maildir:%h/../${encodeURIComponent(addressOf('alice')).replaceAll('%', '%%')}/Maildir:INDEX=%h/shared-index
  subscriptions = no
  list = yes
}
`;

let mailbox: SeededMailbox;
let both: Buffer;
let hers: Buffer;

beforeAll(async () => {
  mailbox = await seededMailbox({ dovecot: SHARED });
  const { alice, bob } = mailbox.people;
  both = mailOf(outerFields('to both'), await encrypted(richEntity('words for both'), [alice, bob]));
  hers = mailOf(outerFields('to her'), await encrypted(richEntity('words for alice'), [alice]));
  const owner = await loggedIn(mailbox.system.dovecot.imapPort, mailbox.system, 'alice');
  await owner.create('Team');
  for (const octets of [both, hers]) await owner.append('Team', octets);
  owner.close();
});
afterAll(() => mailbox?.stop());

const ITEMS = [
  'BODY.PEEK[]',
  'RFC822',
  'BODY.PEEK[]<0.3000>',
  'BODY.PEEK[TEXT]',
  'BODY.PEEK[1]',
  'BODYSTRUCTURE',
];

test('42: in a shared mailbox everybody opens what is for him, right after and beside its owner', async () => {
  const { system } = mailbox;
  const ca = system.pki.ca.certificate;
  const alice = await loggedIn(system.imapPort, system, 'alice', ca);
  const bob = await loggedIn(system.imapPort, system, 'bob', ca);
  const carol = await loggedIn(system.imapPort, system, 'carol', ca);
  await alice.ok('EXAMINE Team');
  for (const other of [bob, carol]) await other.ok('EXAMINE Shared.Team');
  for (const item of ITEMS) {
    const [read, ...others] = await Promise.all(
      [alice, bob, carol].map((client) => client.fetch(`UID FETCH 2 (${item})`)),
    );
    expect(text(read)).toContain(item === 'BODYSTRUCTURE' ? 'html' : 'words for alice');
    for (const other of others) expect(text(other)).not.toMatch(/words for alice|html/);
  }
  const views = await Promise.all([alice, bob].map((client) => client.item(1, 'BODY.PEEK[]')));
  for (const view of views) expect(view.toString('latin1')).toContain('words for both');
  const boundaries = views.map((view) => /=_sealgate_[a-z2-7]{26}/.exec(view.toString('latin1'))?.[0]);
  expect(boundaries[0]).not.toBe(boundaries[1]);
  expect((await carol.item(1, 'BODY.PEEK[]')).equals(both)).toBe(true);
  for (const client of [alice, bob, carol]) client.close();
});

test('42: the same message in two people’s own mailboxes, under the same UID of the same UIDVALIDITY', async () => {
  const { system } = mailbox;
  const ca = system.pki.ca.certificate;
  const names = ['alice', 'bob', 'carol'] as const;
  const seen: string[] = [];
  for (const name of names) {
    const direct = await loggedIn(system.dovecot.imapPort, system, name);
    await direct.create('Copy');
    const uid = await direct.append('Copy', hers);
    direct.close();
    const client = await loggedIn(system.imapPort, system, name, ca);
    await client.ok('EXAMINE Copy');
    seen.push((await client.item(uid, 'BODY.PEEK[]')).toString('latin1'));
    client.close();
  }
  expect(seen.map((octets) => octets.includes('words for alice'))).toEqual([true, false, false]);
});

function text(answers: readonly { items: ReadonlyMap<string, unknown> }[] | undefined): string {
  return (answers ?? [])
    .map(({ items }) =>
      JSON.stringify([...items], (_, value: unknown) =>
        // A Buffer is given here as what JSON makes of it.
        isBufferJson(value) ? Buffer.from(value.data).toString('latin1') : value,
      ),
    )
    .join();
}

function isBufferJson(value: unknown): value is { type: 'Buffer'; data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';
}
