import { afterEach, expect, it } from 'vitest';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { expectAgreement } from '../conformance/support/agreement.ts';
import { octetsOf } from '../conformance/support/imap-response.ts';
import { type SeededMailbox, seededMailbox } from '../conformance/support/seeded-mailbox.ts';

/** The other shell and views without padding, through the gateway and a real mail server. */

let mailbox: SeededMailbox | null = null;
afterEach(async () => {
  await mailbox?.stop();
  mailbox = null;
});

const LISTED = 'RFC822.SIZE BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE MIME-VERSION)]';

it.each([
  ['transparent', 'on'],
  ['wrapped', 'off'],
] as const)('%s, padding %s: listings, whole messages, pieces and parts agree', async (shell, padding) => {
  const seeded = await seededMailbox({ reading: { shell, padding } });
  mailbox = seeded;
  const before = await seeded.originals();
  const lister = await seeded.through('EXAMINE INBOX');
  const listed = await lister.fetch(`UID FETCH 1:* (UID ${LISTED})`);
  lister.close();
  for (const { name, uid, octets, longer, shown } of seeded.messages) {
    const { size, whole } = await expectAgreement(() => seeded.through('EXAMINE INBOX'), uid, [20_000]);
    const answer = listed.find(({ items }) => Number(items.get('UID')) === uid);
    expect([name, Number(answer?.items.get('RFC822.SIZE'))]).toEqual([name, size]);
    const again = await seeded.through('EXAMINE INBOX');
    const fields = await again.item(uid, 'BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE MIME-VERSION)]');
    again.close();
    const first = [...(answer?.items ?? [])].find(([label]) => label.startsWith('BODY['))?.[1];
    expect([name, octetsOf(first).toString('latin1')]).toEqual([name, fields.toString('latin1')]);
    const header = whole.toString('latin1', 0, readMessage(whole).root.body.start);
    for (const line of fields.toString('latin1').trim().split('\r\n')) expect(header, name).toContain(line);
    if (shown === 'as-stored') expect([name, whole.equals(octets)]).toEqual([name, true]);
    else if (padding === 'off') expect([name, whole.length]).toEqual([name, size]);
    else if (longer !== true) expect([name, whole.length]).toEqual([name, octets.length]);
  }
  const signed = await seeded.through('EXAMINE INBOX');
  const { uid } = seeded.message('signed and encrypted');
  const { mediaType } = readMessage(await signed.item(uid, 'BODY.PEEK[]')).root;
  expect(mediaType.subtype).toBe(shell === 'transparent' ? 'signed' : 'mixed');
  signed.close();
  expect(await seeded.originals()).toEqual(before);
});
