import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { createThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { octetsOf } from './support/imap-response.ts';
import { loggedIn, type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

let mailbox: SeededMailbox;
let restarted: Gateway | null = null;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(async () => {
  await restarted?.close();
  await mailbox?.stop();
});

/** The same state folder, and settings changed by `change`. */
async function restart(change: (settings: Record<string, unknown>) => void): Promise<Gateway> {
  await (restarted ?? mailbox.system.gateway).close();
  const settings = parse(await readFile(mailbox.system.configFile, 'utf8')) as Record<string, unknown>;
  change(settings);
  const file = join(mailbox.system.folder, 'restarted.yaml');
  await writeFile(file, stringify(settings), { mode: 0o600 });
  const loaded = await loadConfig(file);
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  restarted = await startGateway(loaded.config, { write: () => undefined });
  return restarted;
}

async function everything(port: number): Promise<string[]> {
  const { system } = mailbox;
  const client = await loggedIn(port, system, 'bob', system.pki.ca.certificate);
  await client.ok('EXAMINE INBOX');
  const answers = await client.fetch('UID FETCH 1:* (UID RFC822.SIZE BODYSTRUCTURE ENVELOPE BODY.PEEK[])');
  client.close();
  return answers.map(
    ({ items }) => JSON.stringify([...items]) + octetsOf(items.get('BODY[]')).toString('latin1'),
  );
}

test('37: after a restart every view has the octets it had, also when nobody would trust its signer any more', async () => {
  const before = await everything(mailbox.system.imapPort);
  expect(before.length).toBe(mailbox.messages.length);
  expect(before.filter((text) => text.includes('verdict=trusted')).length).toBeGreaterThan(0);
  const same = await restart(() => undefined);
  expect(await everything(same.port('imaps'))).toEqual(before);
  const strangers = await createThrowawayPki(join(mailbox.system.folder, 'strangers'));
  const distrustful = await restart((settings) => {
    settings.trust = { ...(settings.trust as object), anchors: [strangers.ca.certificateFile] };
  });
  expect(await everything(distrustful.port('imaps'))).toEqual(before);
  // A mail that nobody has read before is judged as things are now.
  const direct = await mailbox.direct();
  const uid = await direct.append('INBOX', mailbox.message('signed and encrypted').octets);
  const { system } = mailbox;
  const client = await loggedIn(distrustful.port('imaps'), system, 'bob', system.pki.ca.certificate);
  await client.ok('EXAMINE INBOX');
  expect((await client.item(uid, 'BODY.PEEK[]')).toString('latin1')).not.toContain('verdict=trusted');
  direct.close();
  client.close();
});
