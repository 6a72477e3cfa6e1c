import { createHash, type KeyObject } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { SealgateError } from '../../../errors.ts';
import { type RequestSigner, requestSchemeFor } from '../../../pki/certificate-request.ts';
import { FailureError, refused } from '../../failures.ts';
import type { KeyHandle } from '../key-handle.ts';
import { abilitiesOf, readMechanisms } from '../token-abilities.ts';
import { TokenOperator } from '../token-operator.ts';
import { tokenPublicKey } from '../token-public-key.ts';
import type { ManagedModule, ManagedSlot } from './managed-module.ts';

/** A key that was made just now and has no certificate yet, for signing the request for one. */
export function signerOnToken(
  module: ManagedModule,
  slot: ManagedSlot,
  session: Buffer,
  privateKey: Buffer,
  publicKey: KeyObject,
): RequestSigner {
  const described = tokenPublicKey(publicKey);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  if (described === null) throw cannotSign();
  const permissions = { sign: true, decrypt: false, unwrap: false, derive: false, allowed: null };
  const abilities = abilitiesOf(publicKey, described, permissions, readMechanisms(module.pkcs11, slot.id));
  const key = createHash('sha256').update(spki).digest('hex');
  const handle: KeyHandle = {
    object: privateKey,
    publicKey: spki,
    octets: described.octets,
    alwaysAuthenticate: false,
    ...abilities,
  };
  const usual = requestSchemeFor(publicKey);
  const schemes = abilities.signing.map((way) => way.scheme).filter(isForRequests);
  const scheme = schemes.find((one) => isDeepStrictEqual(one, usual)) ?? schemes[0];
  if (scheme === undefined) throw cannotSign();
  const operator = new TokenOperator({
    module: module.pkcs11,
    session,
    handles: new Map([[key, handle]]),
    removable: false,
    authenticate: () => {
      throw new FailureError(refused('a new key that wants its PIN for each use'));
    },
  });
  return {
    publicKey,
    scheme,
    sign: async (wanted, data) =>
      operator.perform({ kind: 'sign', key, scheme: wanted, input: 'message', data }),
  };
}

function isForRequests(scheme: KeyHandle['signing'][number]['scheme']): scheme is RequestSigner['scheme'] {
  return !('digest' in scheme) || (scheme.digest !== 'sha1' && scheme.digest !== 'sha224');
}

function cannotSign(): SealgateError {
  return new SealgateError({
    code: 'key.refused',
    duration: 'permanent',
    publicText:
      'The token generates such keys but does not sign with them, so no certificate can be asked for; choose another --type.',
  });
}
