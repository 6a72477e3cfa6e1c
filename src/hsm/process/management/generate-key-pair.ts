import { type KeyObject, randomBytes } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import { SealgateError } from '../../../errors.ts';
import {
  certificateRequest,
  type RequestedSubject,
  selfSignedCertificate,
} from '../../../pki/certificate-request.ts';
import type { ManagementAnswer, ManagementRequest, TokenKeyType } from '../../management-messages.ts';
import type { TokenSelector } from '../../source-kinds.ts';
import { returnValueOf } from '../pkcs11-errors.ts';
import { certificateTemplate } from './certificate-object.ts';
import { forPeople, type ManagedModule, type ManagedSlot } from './managed-module.ts';
import { findObjects } from './managed-objects.ts';
import { MechanismSummary } from './mechanism-summary.ts';
import type { Person } from './person.ts';
import { signerOnToken } from './signer-on-token.ts';
import { generationTemplate, publicKeyOf } from './token-key-types.ts';
import { logIn, openSession } from './token-login.ts';

const ID_OCTETS = 16;

type Request = Extract<ManagementRequest, { kind: 'generate' }>;

/**
 * C_GenerateKeyPair, and a certificate request (or a certificate) that the new key signs.
 *
 * Must never happen: a private key that can be read or, unless asked for, taken out; a name that two keys have.
 *
 * @throws SealgateError `key.type-not-offered`, `key.name-taken`, `key.refused`, those of logging in
 */
export async function generateKeyPair(
  module: ManagedModule,
  selector: TokenSelector,
  request: Request,
  person: Person,
): Promise<ManagementAnswer> {
  const slot = module.token(selector);
  const mechanisms = new MechanismSummary(module.pkcs11, slot.id);
  const mechanism = mechanisms.generator(request.type);
  if (mechanism === null) throw notOffered(slot, request.type, mechanisms);
  const session = openSession(module, slot);
  await logIn(module, slot, session, request.login, person);
  requireFreeName(module, session, slot, request.label);
  person.working(
    `generating the key (${request.type}); on a card RSA takes up to some minutes, do not take it out`,
  );
  const id = randomBytes(ID_OCTETS);
  const pair = generate(module, session, { mechanism, request, id, mechanisms });
  try {
    const publicKey = readPublicKey(module, session, pair.publicKey);
    const signer = signerOnToken(module, slot, session, pair.privateKey, publicKey);
    const { subject, selfSignedDays } = request;
    const described = requestedSubject(subject);
    const made = {
      kind: 'generate' as const,
      id: id.toString('hex'),
      publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    };
    if (selfSignedDays === null) {
      return {
        ...made,
        certificateRequest: await certificateRequest(described, signer),
        certificate: null,
      };
    }
    const validity = { days: selfSignedDays, from: new Date() };
    const certificate = await selfSignedCertificate(described, signer, validity);
    module.pkcs11.C_CreateObject(session, certificateTemplate(certificate, { id, label: request.label }));
    return { ...made, certificateRequest: null, certificate };
  } catch (error) {
    // A key that nobody has a request for is of no use, and would hold the name.
    for (const object of [pair.privateKey, pair.publicKey]) module.pkcs11.C_DestroyObject(session, object);
    throw error;
  }
}

function generate(
  module: ManagedModule,
  session: Buffer,
  what: { mechanism: number; request: Request; id: Buffer; mechanisms: MechanismSummary },
): pkcs11.KeyPair {
  const { mechanism, request, id, mechanisms } = what;
  const rsa = request.type.startsWith('rsa');
  const agrees = request.type.startsWith('p-') && mechanisms.offers(pkcs11.CKM_ECDH1_DERIVE);
  const common: pkcs11.Template = [
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_ID, value: id },
    { type: pkcs11.CKA_LABEL, value: request.label },
  ];
  const publicTemplate: pkcs11.Template = [
    ...common,
    { type: pkcs11.CKA_VERIFY, value: true },
    ...(rsa ? [{ type: pkcs11.CKA_ENCRYPT, value: true }] : []),
    ...generationTemplate(request.type),
  ];
  const privateTemplate: pkcs11.Template = [
    ...common,
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: request.extractable },
    { type: pkcs11.CKA_SIGN, value: true },
    ...(rsa ? [{ type: pkcs11.CKA_DECRYPT, value: true }] : []),
    ...(agrees ? [{ type: pkcs11.CKA_DERIVE, value: true }] : []),
  ];
  return module.pkcs11.C_GenerateKeyPair(session, { mechanism }, publicTemplate, privateTemplate);
}

function readPublicKey(module: ManagedModule, session: Buffer, object: Buffer): KeyObject {
  const key = publicKeyOf(module, session, object);
  if (key !== null) return key;
  throw new SealgateError({
    code: 'key.refused',
    duration: 'permanent',
    publicText: 'The token generated a key and does not tell its public key, so it cannot be used here.',
  });
}

/** Members that are there and undefined are no members. */
function requestedSubject(subject: Request['subject']): RequestedSubject {
  const { commonName, addresses, use, organization, organizationalUnit, country } = subject;
  return {
    ...{ commonName, addresses, use },
    ...(organization === undefined ? {} : { organization }),
    ...(organizationalUnit === undefined ? {} : { organizationalUnit }),
    ...(country === undefined ? {} : { country }),
  };
}

/** @throws SealgateError `key.name-taken` */
export function requireFreeName(
  module: ManagedModule,
  session: Buffer,
  slot: ManagedSlot,
  label: string,
): void {
  const found = [pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY].some(
    (type) =>
      findObjects(module, session, [
        { type: pkcs11.CKA_CLASS, value: type },
        { type: pkcs11.CKA_LABEL, value: label },
      ]).length > 0,
  );
  if (!found) return;
  throw new SealgateError({
    code: 'key.name-taken',
    duration: 'permanent',
    publicText: `The token ${slot.nameForPeople()} has a key with the name “${forPeople(label)}” already; choose another one with --name.`,
  });
}

function notOffered(slot: ManagedSlot, type: TokenKeyType, mechanisms: MechanismSummary): SealgateError {
  const { generates } = mechanisms.abilities;
  const instead =
    generates.length === 0
      ? 'It generates no keys: import one with “sealgate keys import”, or use the program of whoever issued the card'
      : `It generates ${generates.join(', ')}: choose one of them with --type`;
  return new SealgateError({
    code: 'key.type-not-offered',
    duration: 'permanent',
    publicText: `The token ${slot.nameForPeople()} generates no keys of the type ${type}. ${instead}.`,
  });
}

/** Whether a C_CreateObject or C_GenerateKeyPair was refused for what was asked, so that another way may be open. */
export function isTemplateRefused(error: unknown): boolean {
  const value = returnValueOf(error);
  return value !== null && REFUSED_TEMPLATES.has(value.code);
}

const REFUSED_TEMPLATES: ReadonlySet<number> = new Set([
  pkcs11.CKR_TEMPLATE_INCONSISTENT,
  pkcs11.CKR_TEMPLATE_INCOMPLETE,
  pkcs11.CKR_ATTRIBUTE_TYPE_INVALID,
  pkcs11.CKR_ATTRIBUTE_VALUE_INVALID,
  pkcs11.CKR_ATTRIBUTE_READ_ONLY,
  pkcs11.CKR_FUNCTION_NOT_SUPPORTED,
  pkcs11.CKR_FUNCTION_REJECTED,
  pkcs11.CKR_ARGUMENTS_BAD,
]);
