import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { createThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { mailOf, signed, textEntity } from '../attacks/support/openssl-mail.ts';
import type { ImapClient } from '../conformance/support/imap-client.ts';
import { outerFields } from '../conformance/support/message-classes.ts';
import { loggedIn, type SeededMailbox, seededMailbox } from '../conformance/support/seeded-mailbox.ts';

const TRACE = Array.from(
  { length: 12 },
  (_, hop) =>
    `Received: from mx${hop}.sealgate.test (mx${hop}.sealgate.test [192.0.2.1])\r\n\tby mx.sealgate.test with ESMTPS; Sun, 22 Nov 2026 10:00:00 +0000`,
);

/** Revocation cannot be asked: the CRL is nowhere. */
const nowhere = createServer((_, response) => response.writeHead(503).end());
let mailbox: SeededMailbox;
let again: Gateway | null = null;
beforeAll(async () => {
  await new Promise<void>((resolve) => nowhere.listen(0, '127.0.0.1', resolve));
  const crl = `http://127.0.0.1:${(nowhere.address() as AddressInfo).port}/ca.crl`;
  mailbox = await seededMailbox({ crl });
});
afterAll(async () => {
  await again?.close();
  await mailbox?.stop();
  nowhere.close();
});

async function restart(clearSignedStatus: string, trust: object = {}): Promise<ImapClient> {
  await (again ?? mailbox.system.gateway).close();
  const { system } = mailbox;
  const settings = parse(await readFile(system.configFile, 'utf8')) as Record<string, object>;
  settings.reading = { clearSignedStatus };
  settings.trust = { ...settings.trust, ...trust };
  const file = join(system.folder, 'again.yaml');
  await writeFile(file, stringify(settings), { mode: 0o600 });
  const loaded = await loadConfig(file);
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  again = await startGateway(loaded.config, { write: () => undefined });
  const client = await loggedIn(again.port('imaps'), system, 'bob', system.pki.ca.certificate);
  await client.ok('EXAMINE INBOX');
  return client;
}

async function arrived(): Promise<{ uid: number; octets: Buffer }> {
  const octets = mailOf(
    outerFields('stays', ...TRACE),
    await signed(textEntity('hello'), mailbox.people.alice),
  );
  const direct = await mailbox.direct();
  const uid = await direct.append('INBOX', octets);
  direct.close();
  return { uid, octets };
}

const header = async (client: ImapClient, uid: number): Promise<string> =>
  (await client.item(uid, 'BODY.PEEK[HEADER]')).toString('latin1');

test('a message keeps the status that it had, or had not, whatever is set or believed later', async () => {
  const before = await arrived();
  const first = await mailbox.through('EXAMINE INBOX');
  expect((await first.item(before.uid, 'BODY.PEEK[]')).equals(before.octets)).toBe(true);
  first.close();

  const on = await restart('header');
  const after = await arrived();
  const unread = await arrived();
  await on.ok('NOOP');
  expect((await on.item(before.uid, 'BODY.PEEK[]')).equals(before.octets)).toBe(true);
  expect((await on.item(before.uid, 'BODY.PEEK[HEADER.FIELDS (Received)]')).toString()).toContain('mx0.');
  const shown = await header(on, after.uid);
  expect(shown).toMatch(/smime=pass/);
  // The signature is good; nobody could be asked whether it was revoked, and that is said.
  expect(shown).toMatch(/rev=unchecked/);
  on.close();

  const strangers = await createThrowawayPki(join(mailbox.system.folder, 'strangers'));
  const distrustful = await restart('header', { anchors: [strangers.ca.certificateFile] });
  expect(await header(distrustful, after.uid)).toBe(shown);
  expect(await header(distrustful, unread.uid)).toMatch(/smime=policy/);
  distrustful.close();

  const off = await restart('off');
  const last = await arrived();
  await off.ok('NOOP');
  expect(await header(off, after.uid)).toBe(shown);
  expect((await off.item(after.uid, 'BODY.PEEK[HEADER.FIELDS (Received)]')).toString()).toBe(
    `${shown
      .split(/\r\n(?![ \t])/)
      .filter((field) => /^received:/i.test(field))
      .map((field) => `${field}\r\n`)
      .join('')}\r\n`,
  );
  expect((await off.item(last.uid, 'BODY.PEEK[]')).equals(last.octets)).toBe(true);
  off.close();
});

test('a copy is verified anew', async () => {
  const client = await restart('header');
  const { uid } = await arrived();
  await client.ok('SELECT INBOX');
  await header(client, uid);
  const { text } = await client.ok(`UID COPY ${uid} INBOX`);
  const copy = Number(/COPYUID \d+ \d+ (\d+)/.exec(text)?.[1]);
  expect(await header(client, copy)).toMatch(/smime=pass/);
  client.close();
});
