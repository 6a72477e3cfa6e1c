import { expect, test } from 'vitest';
import { newSessionId } from '../../src/ids.ts';
import { MailboxViews } from '../../src/imap-proxy/mailbox-views.ts';
import { viewNames } from '../../src/mail-view/view-names.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { systemTimers } from '../../src/reading/timers.ts';
import { EventLog, ORIGINAL, openedAs, SECRET, TEXT } from '../reading/support/readers.ts';
import { principalNamed } from '../support/principal.ts';

test('first words of a message are told once something of it was shown, and not after a search has opened it', async () => {
  const views = new MailboxViews({
    ...{
      session: newSessionId(),
      principal: principalNamed('bob@example.org'),
      hasKeys: true,
      secret: SECRET,
    },
    ...{ names: viewNames('7f3a9c2e', 'gw.example.net'), log: new EventLog(), timers: systemTimers },
    story: { open: async () => openedAs(TEXT, 'trusted') },
  });
  views.hear({ uidValidity: 7, exists: 1 });
  await views.enter('INBOX', async () => null);
  const patience = { signal: new AbortController().signal, exhausted: new Map() };
  const open = async (openKeysOnly: boolean) => {
    const opened = await views.open(
      1,
      bufferSource(ORIGINAL),
      openKeysOnly ? { ...patience, openKeysOnly } : patience,
    );
    if (opened.kind === 'view') opened.release();
    return views.listed(1).preview();
  };
  expect(await open(true)).toBeNull();
  expect(await open(false)).toBe('the boathouse key');
  views.end();
});
