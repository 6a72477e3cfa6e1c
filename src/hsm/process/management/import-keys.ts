import { randomBytes } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import { SealgateError } from '../../../errors.ts';
import { Secret } from '../../../log/secret.ts';
import { loadPemKey } from '../../files/pem-key.ts';
import { loadPkcs12 } from '../../files/pkcs12-key.ts';
import type { LoadedKey } from '../../loaded-key.ts';
import type { AnswerTo, ManagementAnswer, ManagementRequest } from '../../management-messages.ts';
import type { PinSource, TokenSelector } from '../../source-kinds.ts';
import { certificateTemplate } from './certificate-object.ts';
import { isTemplateRefused, requireFreeName } from './generate-key-pair.ts';
import { forPeople, type ManagedModule, type ManagedSlot } from './managed-module.ts';
import { MechanismSummary } from './mechanism-summary.ts';
import type { Person } from './person.ts';
import { type ImportedKey, privateTemplate, publicTemplate } from './private-key-template.ts';
import { logIn, openSession } from './token-login.ts';
import { privateKeyFor } from './token-private-keys.ts';
import { unwrapKey } from './unwrap-key.ts';
import { presentCertificates } from './write-certificates.ts';

type Request = Extract<ManagementRequest, { kind: 'import-keys' }>;
type Imported = AnswerTo<'import-keys'>['keys'][number];

/**
 * Puts the private keys of a file into the token, with their certificates and chains. File and password are read here, so that no
 * private key is ever anywhere else.
 *
 * @throws SealgateError those of the file, those of logging in, `key.name-taken`, `key.import-refused`
 */
export async function importKeys(
  module: ManagedModule,
  selector: TokenSelector,
  request: Request,
  person: Person,
): Promise<ManagementAnswer> {
  const loaded = await loadKeys(request.source, person);
  const slot = module.token(selector);
  const session = openSession(module, slot);
  await logIn(module, slot, session, request.login, person);
  const keys = distinct(loaded).map((key, index) => ({ key, label: labelFor(key, request.label, index) }));
  const there = keys.map(({ key }) => privateKeyFor(module, session, key.certificate.publicKey));
  keys.forEach(({ label }, index) => {
    if (there[index] === null) requireFreeName(module, session, slot, label);
  });
  person.working('writing the key to the token');
  const written = keys.map(({ key, label }, index): Imported => {
    const known = there[index] ?? null;
    const id = known?.id ?? randomBytes(16);
    const how =
      known === null
        ? writeKey(module, slot, session, {
            id,
            label,
            extractable: request.extractable,
            privateKey: key.privateKey,
          })
        : 'already-there';
    return {
      label: known?.label ?? label,
      id: id.toString('hex'),
      certificate: key.certificate.der,
      chain: key.chain.map(({ der }) => der),
      how,
    };
  });
  writeAllCertificates(module, session, loaded, written);
  return { kind: 'import-keys', keys: written };
}

async function loadKeys(source: Request['source'], person: Person): Promise<LoadedKey[]> {
  if (source.kind === 'pkcs12') {
    const password = await passwordOf(source.password, source.file, person);
    return await loadPkcs12({ file: source.file, password: password ?? new Secret('') });
  }
  const { key, certificate } = source;
  const passphrase = await passwordOf(source.passphrase, key, person);
  return await loadPemKey({ keyFile: key, certificateFile: certificate, passphrase });
}

async function passwordOf(source: PinSource | null, file: string, person: Person): Promise<Secret | null> {
  if (source === null) return null;
  return new Secret(
    await person.secret(source, { purpose: 'password', action: 'open', file, previousError: null }),
  );
}

/** A key with several certificates (renewed ones) is one key. */
function distinct(loaded: readonly LoadedKey[]): LoadedKey[] {
  const keys = new Map<string, LoadedKey>();
  for (const key of loaded) {
    const spki = key.certificate.subjectPublicKeyInfo.toString('base64');
    if (!keys.has(spki)) keys.set(spki, key);
  }
  return [...keys.values()];
}

function labelFor(key: LoadedKey, wanted: string | null, index: number): string {
  if (wanted !== null) return index === 0 ? wanted : `${wanted} ${index + 1}`;
  const [address] = key.certificate.mailboxes;
  return address ?? key.certificate.subject.text.slice(0, 64);
}

function writeKey(
  module: ManagedModule,
  slot: ManagedSlot,
  session: Buffer,
  key: ImportedKey,
): 'created' | 'unwrapped' {
  const mechanisms = new MechanismSummary(module.pkcs11, slot.id);
  const how = writePrivateKey(module, session, key, mechanisms);
  try {
    module.pkcs11.C_CreateObject(session, publicTemplate(key));
  } catch (error) {
    // Cards that make the public key out of the certificate take none.
    if (!isTemplateRefused(error)) throw error;
  }
  return how;
}

function writePrivateKey(
  module: ManagedModule,
  session: Buffer,
  key: ImportedKey,
  mechanisms: MechanismSummary,
): 'created' | 'unwrapped' {
  const agrees = mechanisms.offers(pkcs11.CKM_ECDH1_DERIVE);
  try {
    module.pkcs11.C_CreateObject(session, privateTemplate(key, { agrees, values: true }));
    return 'created';
  } catch (error) {
    if (!isTemplateRefused(error)) throw error;
    try {
      unwrapKey(module, session, key, privateTemplate(key, { agrees, values: false }));
      return 'unwrapped';
    } catch (cause) {
      if (!isTemplateRefused(cause)) throw cause;
      throw new SealgateError({
        code: 'key.import-refused',
        duration: 'permanent',
        publicText: `The token does not take the key “${forPeople(key.label)}” from outside; generate one on it with “sealgate keys generate”, or use the program of whoever issued the token.`,
        cause: error,
      });
    }
  }
}

function writeAllCertificates(
  module: ManagedModule,
  session: Buffer,
  loaded: readonly LoadedKey[],
  written: readonly Imported[],
): void {
  const present = new Set(presentCertificates(module, session));
  const write = (certificate: LoadedKey['certificate'], id: Buffer | null, label: string): void => {
    if (present.has(certificate.fingerprint)) return;
    present.add(certificate.fingerprint);
    module.pkcs11.C_CreateObject(session, certificateTemplate(certificate.der, { id, label }));
  };
  const keys = distinct(loaded);
  for (const { certificate, chain } of loaded) {
    const index = keys.findIndex((key) =>
      key.certificate.subjectPublicKeyInfo.equals(certificate.subjectPublicKeyInfo),
    );
    const name = written[index];
    if (name !== undefined) write(certificate, Buffer.from(name.id, 'hex'), name.label);
    for (const issuer of chain) write(issuer, null, issuer.subject.text.slice(0, 64));
  }
}
