import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type TlsMaterial = { cert: string; key: string; file: string; remove(): void };

/** A self-signed certificate made by openssl for names and addresses, with its file for a client that takes it as its only authority. */
export function certificateFor(...names: readonly string[]): TlsMaterial {
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-tls-'));
  const file = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  const alternatives = names.map((name) => `${/^[\d.]+$/.test(name) ? 'IP' : 'DNS'}:${name}`);
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', `/CN=${names[0] ?? ''}`, '-addext', `subjectAltName=${alternatives.join(',')}`],
      ...['-keyout', keyFile, '-out', file],
    ],
    { stdio: 'ignore' },
  );
  return {
    cert: readFileSync(file, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
    file,
    remove: () => rmSync(folder, { recursive: true }),
  };
}
