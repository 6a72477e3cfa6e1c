import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import type { MailSystem } from '../../support/mail-system.ts';

/** The CRL of the system's CA by `openssl ca`, DER. @param revoked users */
export async function crlOf(system: MailSystem, revoked: readonly string[]): Promise<Buffer> {
  const at = (name: string) => join(system.folder, name);
  const { certificateFile, keyFile } = system.pki.ca;
  const lines = [
    ...['[ca]', 'default_ca = here', '[here]', `database = ${at('index.txt')}`, 'default_md = sha256'],
    `crlnumber = ${at('crlnumber')}`,
    `certificate = ${certificateFile}`,
    `private_key = ${keyFile}`,
  ];
  await writeFile(at('ca.cnf'), `${lines.join('\n')}\n`);
  await writeFile(at('index.txt'), '');
  await writeFile(at('crlnumber'), '01\n');
  const config = ['ca', '-config', at('ca.cnf')];
  for (const name of revoked) {
    await runProgram('openssl', [...config, '-revoke', system.user(name).identity.certificateFile]);
  }
  await runProgram('openssl', [...config, '-gencrl', '-crldays', '1', '-out', at('ca.crl.pem')]);
  const { stdout } = await runProgram('openssl', ['crl', '-outform', 'DER'], {
    input: await readFile(at('ca.crl.pem')),
  });
  return stdout;
}
