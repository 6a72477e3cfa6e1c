import { hash, type KeyObject } from 'node:crypto';
import type { SignatureScheme } from '../../cms/keys.ts';
import { curveByName } from '../../pki/curves.ts';
import type { Inventory, OpeningAbility } from '../inventory.ts';
import type { LoadedKey } from '../loaded-key.ts';
import { includesScheme, signatureSchemes } from '../signature-schemes.ts';

/** A private key as it is posted to a thread. */
export type SoftwareThreadKey = {
  /** As in Operation. */
  key: string;
  /** DER of one of its certificates. */
  certificate: Uint8Array;
  privateKey: KeyObject;
  schemes: readonly SignatureScheme[];
  opens: readonly OpeningAbility[];
};

/**
 * What a key process says about keys from files, and what its threads get: each private key once, whatever number of
 * certificates it has. ML-DSA is among the schemes of such a key: whether it may sign (`smime.postQuantum`) is the gateway's
 * decision.
 */
export function softwareInventory(keys: readonly LoadedKey[]): {
  inventory: Inventory;
  threadKeys: SoftwareThreadKey[];
} {
  const threadKeys = new Map<string, SoftwareThreadKey>();
  const certificates = new Map<string, Buffer>();
  const descriptions = keys.map(({ label, certificate, chain, privateKey, use }) => {
    const key = hash('sha256', certificate.subjectPublicKeyInfo);
    // Whether ML-DSA is offered is asked of the gateway; here it is told.
    const schemes = use === 'decrypt' ? [] : [...signatureSchemes(certificate, true)];
    const opens = use === 'sign' ? [] : [...openingAbilities(privateKey)];
    for (const each of [certificate, ...chain]) certificates.set(each.fingerprint, each.der);
    const known = threadKeys.get(key);
    threadKeys.set(key, {
      key,
      certificate: certificate.der,
      privateKey,
      schemes: [...schemes, ...(known?.schemes ?? []).filter((each) => !includesScheme(schemes, each))],
      opens: [...new Set([...opens, ...(known?.opens ?? [])])],
    });
    return { key, label, id: '', certificate: certificate.der, schemes, opens, alwaysAuthenticate: false };
  });
  return {
    inventory: {
      token: null,
      keys: descriptions,
      certificates: [...certificates.values()],
      seen: 'after-login',
    },
    threadKeys: [...threadKeys.values()],
  };
}

/** Empty: a key of a kind that does not open anything (Ed25519, RSASSA-PSS). */
function openingAbilities(key: KeyObject): readonly OpeningAbility[] {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return ['rsa-pkcs1', 'rsa-oaep'];
    case 'x25519':
    case 'x448':
      return ['agree'];
    case 'ec':
      return curveByName(key.asymmetricKeyDetails?.namedCurve) === null ? [] : ['agree'];
    case 'ml-kem-512':
    case 'ml-kem-768':
    case 'ml-kem-1024':
      return ['decapsulate'];
    default:
      return [];
  }
}
