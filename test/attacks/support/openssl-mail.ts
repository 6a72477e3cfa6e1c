import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import type { UserIdentity } from '../../../src/evaluation/throwaway-pki.ts';

/** S/MIME mail as strangers send it: everything is made by OpenSSL, nothing by the code under test. */

type Signer = Pick<UserIdentity, 'certificateFile' | 'keyFile'>;

export function crlf(text: string): Buffer {
  return Buffer.from(text.replace(/\r?\n/g, '\r\n'), 'latin1');
}

/** A MIME entity of plain text. */
export function textEntity(text: string): Buffer {
  return crlf(`Content-Type: text/plain; charset=utf-8\n\n${text}\n`);
}

/** Header fields in front of a MIME entity. */
export function mailOf(fields: readonly string[], entity: Buffer): Buffer {
  return Buffer.concat([crlf(`${fields.join('\n')}\nMIME-Version: 1.0\n`), entity]);
}

/** The signed entity, without a header of its own. `form`: clear (multipart/signed) or opaque. */
export async function signed(
  entity: Buffer,
  signer: Signer,
  { form = 'clear', more = [] }: { form?: 'clear' | 'opaque'; more?: readonly string[] } = {},
): Promise<Buffer> {
  const how = form === 'opaque' ? ['-nodetach'] : [];
  return smime(
    ['-sign', '-binary', '-signer', signer.certificateFile, '-inkey', signer.keyFile, ...how, ...more],
    entity,
  );
}

/** The encrypted entity, without a header of its own. */
export async function encrypted(
  entity: Buffer,
  recipients: readonly Pick<UserIdentity, 'certificateFile'>[],
  { cipher = 'aes-256-cbc', more = [] }: { cipher?: string; more?: readonly string[] } = {},
): Promise<Buffer> {
  const to = recipients.map(({ certificateFile }) => certificateFile);
  return smime(['-encrypt', '-binary', `-${cipher}`, ...more, ...to], entity);
}

async function smime(args: readonly string[], entity: Buffer): Promise<Buffer> {
  const { stdout } = await runProgram('openssl', ['cms', '-outform', 'SMIME', ...args], { input: entity });
  const text = stdout
    .toString('latin1')
    .replace(/\r?\n/g, '\r\n')
    .replace(/^MIME-Version: 1\.0\r\n/, '');
  // OpenSSL says `This is an S/MIME signed message` before the first part: readers do not show it.
  return Buffer.from(text, 'latin1');
}

/** The CMS object inside an entity that OpenSSL wrote, and the entity with another one in its place. */
export function cmsOf(entity: Buffer): Buffer {
  const text = entity.toString('latin1');
  return Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'base64');
}

export function withCms(entity: Buffer, cms: Buffer): Buffer {
  const text = entity.toString('latin1');
  const lines = cms.toString('base64').replace(/.{1,64}/g, '$&\r\n');
  return Buffer.from(text.slice(0, text.indexOf('\r\n\r\n') + 4) + lines, 'latin1');
}

export type CertificateWish = {
  name: string;
  /** OpenSSL extension lines. */
  extensions: readonly string[];
  /** Who issues it; absent: it issues itself. */
  issuer?: { certificateFile: string; keyFile: string };
  /** `YYYYMMDDHHMMSSZ`. */
  validity?: { from: string; to: string };
  digest?: 'sha256' | 'sha1';
};

/** A certificate of any content for a new RSA key. Files go to `folder`. */
export async function forgeCertificate(folder: string, wish: CertificateWish): Promise<Signer> {
  const base = join(folder, wish.name.replace(/[^a-z0-9-]/gi, '_'));
  const keyFile = `${base}.key`;
  const certificateFile = `${base}.crt`;
  await openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', keyFile);
  const configuration = `${base}.cnf`;
  const database = `${base}.index`;
  await writeFile(database, '');
  await writeFile(
    configuration,
    [
      '[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nO = Sealgate throwaway\n',
      `CN = ${wish.name}\n[ca]\ndefault_ca = here\n[here]\ndatabase = ${database}\nnew_certs_dir = ${folder}\n`,
      'rand_serial = yes\npolicy = any\nunique_subject = no\nemail_in_dn = no\n',
      '[any]\norganizationName = optional\ncommonName = supplied\n',
      `[extensions]\n${wish.extensions.join('\n')}\n`,
    ].join(''),
  );
  const request = `${base}.csr`;
  await openssl('req', '-new', '-key', keyFile, '-config', configuration, '-out', request);
  const issuer = wish.issuer;
  const by =
    issuer === undefined
      ? ['-selfsign', '-keyfile', keyFile]
      : ['-cert', issuer.certificateFile, '-keyfile', issuer.keyFile];
  const when =
    wish.validity === undefined
      ? ['-days', '30']
      : ['-startdate', wish.validity.from, '-enddate', wish.validity.to];
  await openssl(
    ...['ca', '-batch', '-notext', '-config', configuration, '-extensions', 'extensions', '-in', request],
    ...['-md', wish.digest ?? 'sha256', '-out', certificateFile, ...when, ...by],
  );
  return { certificateFile, keyFile };
}

/** Extension lines of a mail user's certificate. */
export function userExtensions(...addresses: readonly string[]): string[] {
  return [
    'basicConstraints = critical, CA:FALSE',
    'keyUsage = critical, digitalSignature, keyEncipherment',
    'extendedKeyUsage = emailProtection',
    `subjectAltName = ${addresses.map((address) => `email:${address}`).join(', ')}`,
  ];
}

export async function openssl(...args: readonly string[]): Promise<Buffer> {
  return (await runProgram('openssl', args)).stdout;
}
