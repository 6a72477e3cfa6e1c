import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { viewBoundary, viewNames } from '../../src/mail-view/view-names.ts';
import type { ViewOutcome } from '../../src/mail-view/view-outcome.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { rendered } from './support/rendered.ts';

/** The views fit into what OpenSSL makes: a CMS object in base64 leaves room for the shell. */
const names = viewNames('7f3a9c2e', 'gateway.example.org');
const boundary = viewBoundary(Buffer.alloc(32, 1), 'bob@example.org', 'imap 1 1 INBOX');
const OUTER =
  'From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: hello\r\nDate: Fri, 02 Jan 2026 03:04:05 +0000\r\n';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-slack-'));
  for (const [name, ...type] of [
    ['rsa', 'rsa:2048'],
    ['ec', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  ]) {
    const subject = ['-subj', '/CN=Bob', '-addext', 'subjectAltName=email:bob@example.org'];
    const files = ['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)];
    const request = ['req', '-x509', '-nodes', '-days', '2', '-newkey', ...type, ...subject, ...files];
    execFileSync('openssl', request, { stdio: 'ignore' });
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function encrypted(entity: string, recipient: string, cipher: string): Buffer {
  const file = join(folder, `in-${recipient}-${entity.length}`);
  writeFileSync(file, entity, 'latin1');
  const output = execFileSync('openssl', [
    'cms',
    '-encrypt',
    `-${cipher}`,
    '-in',
    file,
    join(folder, `${recipient}.crt`),
  ]);
  return Buffer.from(OUTER + output.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
}

const CONTENTS: [string, string][] = [
  ['empty', 'Content-Type: text/plain\r\n\r\n'],
  [
    '5 kB of text',
    `Content-Type: text/plain\r\n\r\n${'a line of some words and a number 42\r\n'.repeat(130)}`,
  ],
  [
    '200 kB attachment',
    `Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${`${'QUJD'.repeat(19)}\r\n`.repeat(3_400)}`,
  ],
];

for (const [recipient, cipher, authenticated] of [
  ['rsa', 'aes-256-cbc', false],
  ['ec', 'aes-256-cbc', false],
  ['rsa', 'aes-256-gcm', true],
] as const) {
  test.each(CONTENTS)(`the view of %s fits, ${recipient} and ${cipher}`, async (_, entity) => {
    const original = encrypted(entity, recipient, cipher);
    const outcome: ViewOutcome = {
      kind: 'opened',
      entity: bufferSource(Buffer.from(entity, 'latin1')),
      report: { layers: [{ kind: 'encrypted', algorithm: cipher, authenticated, outcome: 'opened' }] },
      verdict: { kind: 'unsigned' },
    };
    const view = await rendered({ original, outcome, boundary, names });
    // A warning, which unsigned CBC gets, does not fit into the smallest of messages: then the view is longer.
    const mayOverflow = !authenticated && entity.length < 100;
    expect(view.overflow && !mayOverflow).toBe(false);
    expect(view.octets.length >= original.length).toBe(true);
    expect(view.octets.length - original.length).toBeLessThan(mayOverflow ? 400 : 1);
  });
}
