import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { importsOf, ROOT, resolveImport, sourceFiles } from './source-files.ts';

/**
 * The gateway's own process holds no private key, PIN or password of one: whatever it could be made to give away, it is not
 * that. So nothing that reads, decodes or uses one is loaded into it; key processes load that.
 */

const files = new Map(sourceFiles('src').map((file) => [file.path, file]));

/** Every file that is loaded when this one is. */
function closure(start: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const open = [start];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const file = files.get(path);
    if (seen.has(path) || file === undefined) continue;
    seen.add(path);
    for (const { specifier, typesOnly } of importsOf(file)) {
      if (!typesOnly && specifier.startsWith('.')) open.push(resolveImport(path, specifier));
    }
  }
  return seen;
}

const gateway = closure('gateway.ts');
const loaded = [...gateway].flatMap((path) => files.get(path) ?? []);

describe('what the gateway loads', () => {
  test('is most of the product, so that looking at it says something', () => {
    for (const path of [
      'hsm/keyring.ts',
      'hsm/client/key-client.ts',
      'smime/sign.ts',
      'imap-proxy/session.ts',
    ]) {
      expect(gateway).toContain(path);
    }
  });

  test('is nothing of key processes, key files, key stores and PINs', () => {
    const inside = /^hsm\/(process|files|key-store|pin)\//;
    expect([...gateway].filter((path) => inside.test(path))).toEqual([]);
  });

  test('has no PKCS#11 module in it', () => {
    const modules = loaded.filter((file) =>
      importsOf(file).some(({ specifier, typesOnly }) => specifier === 'pkcs11js' && !typesOnly),
    );
    expect(modules.map(({ path }) => path)).toEqual([]);
  });

  test('makes no private key of octets, and uses none that it did not make itself', () => {
    const uses = /\b(?:createPrivateKey|privateDecrypt|privateEncrypt|createSign)\b/;
    expect(loaded.filter(({ text }) => uses.test(text)).map(({ path }) => path)).toEqual([]);
    // Those made here are for one message, or to see whether a stranger's public key is one.
    const made = /\b(?:generateKeyPair|generateKeyPairSync|diffieHellman|createECDH)\(/;
    expect(
      loaded
        .filter(({ text }) => made.test(text))
        .map(({ path }) => path)
        .sort(),
    ).toEqual(['cms/key-agreement.ts', 'hsm/originator-key.ts', 'pki/encryption-key.ts']);
  });

  test('reads the private keys of its own TLS, towards clients and mail servers, and no other file of that kind, and says so', () => {
    const reading = loaded.filter(({ text }) => /\bkey: await readFile\(|readPrivateFile\(/.test(text));
    expect(reading.map(({ path }) => path)).toEqual([
      'connections/mail-server.ts',
      'gateway/listener-tls.ts',
    ]);
    const limits = readFileSync(join(ROOT, 'docs/limits.md'), 'utf8');
    expect(limits).toMatch(/The key of the TLS listeners is in the gateway's own memory/);
    expect(limits).toMatch(/So is that of a certificate that it shows to mail servers/);
  });

  test('the same holds for what starts it', () => {
    const serving = closure('commands/serve.ts');
    const inside = /^hsm\/(process|files|key-store|pin)\//;
    const evaluation = [...serving].filter((path) => inside.test(path));
    expect(evaluation).toEqual([]);
  });
});
