import { createHash } from 'node:crypto';
import type pkcs11 from 'pkcs11js';
import { SealgateError } from '../../errors.ts';
import { type Certificate, parseCertificate } from '../../pki/certificate.ts';
import type { Inventory, KeyDescription, OpeningAbility } from '../inventory.ts';
import type { ObjectSelector } from '../source-kinds.ts';
import type { KeyHandle } from './key-handle.ts';
import { type PrivateKeyObject, readPrivateKeys } from './private-key-objects.ts';
import { abilitiesOf, type KeyAbilities, readMechanisms, schemesOf } from './token-abilities.ts';
import { readCertificateObjects, type TokenCertificate } from './token-certificates.ts';
import { TokenObjectReader } from './token-object-reader.ts';
import { AbilityProbes } from './token-probes.ts';
import { type TokenPublicKey, tokenPublicKey } from './token-public-key.ts';

/** What a token holds, for the gateway, and where each key is, for the threads. `handles` is empty before login. */
export type TokenObjects = { inventory: Inventory; handles: ReadonlyMap<string, KeyHandle> };

/**
 * Reads keys and certificates, and finds out what each key does.
 *
 * A certificate and a key belong together when their public keys are the same; CKA_ID decides only where the token
 * keeps the public key to itself. (Tokens filled by hand carry wrong CKA_IDs, and two keys may share one.)
 *
 * Before login most tokens hide private keys: then every certificate that is not a CA's stands for its key, and what that
 * does is what the token offers for keys of its kind and the certificate allows.
 *
 * @param session any session with the token; logged in where `stage` says so
 * @param token what the inventory says about the token itself
 * @param additional DER of certificates that are not on the token
 * @param objects which keys are meant; certificates for chains are read whatever it says
 * @throws what pkcs11js throws when the token does not answer
 */
export function readObjects(
  module: pkcs11.PKCS11,
  session: Buffer,
  token: Inventory['token'],
  additional: readonly Uint8Array[],
  objects: ObjectSelector,
  stage: 'before-login' | 'after-login',
): TokenObjects {
  const reader = new TokenObjectReader(module, session);
  const mechanisms = readMechanisms(module, module.C_GetSessionInfo(session).slotID);
  const privateKeys = readPrivateKeys(reader);
  const onToken = readCertificateObjects(reader);
  const candidates = readable([
    ...onToken,
    ...additional.map((der): TokenCertificate => ({ id: null, label: '', der: Buffer.from(der) })),
  ]);

  const keys: KeyDescription[] = [];
  const handles = new Map<string, KeyHandle>();
  const probes = new AbilityProbes(module, session);
  for (const candidate of candidates) {
    const { certificate, publicKey } = candidate;
    const object = privateKeys.find((each) => belongTogether(each, candidate)) ?? null;
    if (!isMeant(objects, [candidate.object, ...(object === null ? [] : [object])])) continue;
    const name = keyName(certificate);
    if (object !== null && stage === 'after-login') {
      const alwaysAuthenticate = object.alwaysAuthenticate();
      const handle: KeyHandle = handles.get(name) ?? {
        object: object.object,
        publicKey: certificate.subjectPublicKeyInfo,
        octets: publicKey.octets,
        alwaysAuthenticate,
        ...probes.proven(
          { object: object.object, key: certificate.publicKey, publicKey, alwaysAuthenticate },
          abilitiesOf(certificate.publicKey, publicKey, object.permissions(), mechanisms),
        ),
      };
      handles.set(name, handle);
      keys.push(describe(candidate, object, handle, alwaysAuthenticate));
    } else if (object !== null) {
      const abilities = abilitiesOf(certificate.publicKey, publicKey, object.permissions(), mechanisms);
      keys.push(describe(candidate, object, abilities, object.alwaysAuthenticate()));
    } else if (stage === 'before-login' && certificate.basicConstraints?.cA !== true) {
      const allowed = permissionsOf(certificate);
      const abilities = abilitiesOf(certificate.publicKey, publicKey, allowed, mechanisms);
      keys.push(describe(candidate, null, abilities, false));
    }
  }
  return {
    inventory: { token, keys, certificates: [...onToken.map(({ der }) => der), ...additional], seen: stage },
    handles,
  };
}

/** A certificate that can be used here, with its key as tokens speak of it. */
type Candidate = { object: TokenCertificate; certificate: Certificate; publicKey: TokenPublicKey };

/** Certificates of other people and other kinds lie on tokens too; what cannot be read cannot be used. Each one once. */
function readable(objects: readonly TokenCertificate[]): Candidate[] {
  const seen = new Set<string>();
  return objects.flatMap((object) => {
    try {
      const certificate = parseCertificate(object.der);
      const publicKey = tokenPublicKey(certificate.publicKey);
      if (publicKey === null || seen.has(certificate.fingerprint)) return [];
      seen.add(certificate.fingerprint);
      return [{ object, certificate, publicKey }];
    } catch (error) {
      if (error instanceof SealgateError) return [];
      throw error;
    }
  });
}

function belongTogether(key: PrivateKeyObject, { object, publicKey }: Candidate): boolean {
  if (!key.types.includes(publicKey.type)) return false;
  if (key.public.length > 0) return key.public.some((each) => each.equals(publicKey.value));
  return object.id?.equals(key.id) === true;
}

/** SHA-256 of the SubjectPublicKeyInfo as node:crypto writes it, hexadecimal. */
function keyName({ publicKey }: Certificate): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** RFC 7512 §2.3: all that is named must fit one object, the key's or its certificate's. */
function isMeant(wanted: ObjectSelector, objects: readonly { id: Buffer | null; label: string }[]): boolean {
  return objects.some(
    ({ id, label }) =>
      (wanted.object === null || wanted.object === label) &&
      (wanted.id === null || wanted.id.toLowerCase() === (id?.toString('hex') ?? '')),
  );
}

/** RFC 5280 §4.2.1.3: what a certificate lets its key do. */
function permissionsOf({ keyUsage }: Certificate) {
  const may = (...usages: Parameters<NonNullable<typeof keyUsage>['has']>[0][]) =>
    keyUsage === null || usages.some((usage) => keyUsage.has(usage));
  return {
    sign: may('digitalSignature', 'nonRepudiation'),
    decrypt: may('keyEncipherment', 'dataEncipherment'),
    unwrap: false,
    derive: may('keyAgreement'),
    allowed: null,
  };
}

function describe(
  { object, certificate }: Candidate,
  key: PrivateKeyObject | null,
  abilities: KeyAbilities,
  alwaysAuthenticate: boolean,
): KeyDescription {
  const id = (key?.id ?? object.id ?? Buffer.alloc(0)).toString('hex');
  const opens: OpeningAbility[] = [];
  if (abilities.pkcs1.length > 0) opens.push('rsa-pkcs1');
  if (abilities.oaep.length > 0) opens.push('rsa-oaep');
  if (abilities.agreement !== null) opens.push('agree');
  return {
    key: keyName(certificate),
    label: key?.label || object.label || id,
    id,
    certificate: certificate.der,
    schemes: schemesOf(abilities.signing),
    opens,
    alwaysAuthenticate,
  };
}
