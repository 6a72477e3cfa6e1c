import { capabilitiesOf, contentEncryptions } from '../cms/capabilities.ts';
import { canTransportKeys } from '../cms/key-transport.ts';
import type { SignatureScheme } from '../cms/keys.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { Reader } from './algorithm-choice.ts';

/**
 * Algorithms that somebody demands, in the place of a choice. What a reader cannot read or a key cannot do is a problem, and
 * never a reason to take another one. null: chosen as ever.
 */
export type AlgorithmPins = {
  contentEncryption: 'aes256-gcm' | 'aes128-gcm' | 'aes256-cbc' | 'aes128-cbc' | null;
  keyManagement: 'rsa-oaep' | 'rsa-pkcs1' | 'ecdh' | 'ml-kem' | null;
  signature: 'rsa-pss' | 'rsa-pkcs1' | 'ecdsa' | 'eddsa' | 'ml-dsa' | null;
};

/** Why a reader cannot be given what is demanded, a clause; null: nothing is known against it. */
export function readerProblem(pins: AlgorithmPins, reader: Reader): string | null {
  const { certificate, capabilities } = reader;
  const wrongKey = keyProblem(pins, certificate);
  if (wrongKey !== null || pins.contentEncryption === null) return wrongKey;
  const said = contentEncryptions(capabilities.length > 0 ? capabilities : capabilitiesOf(certificate));
  return said.length === 0 || said.includes(pins.contentEncryption)
    ? null
    : `its mail program says that it reads ${said.join(', ')}, and not ${pins.contentEncryption}`;
}

/** As `readerProblem`, for the sender's own copy, of which the gateway reads whatever its key can. */
export function ownProblem(
  pins: AlgorithmPins,
  { certificate, readsOaep }: { certificate: Certificate; readsOaep: boolean },
): string | null {
  if (pins.keyManagement === 'rsa-oaep' && !readsOaep && canTransportKeys(certificate)) {
    return 'its key is on a token that cannot read OAEP';
  }
  return keyProblem(pins, certificate);
}

/** Why a key cannot sign as is demanded, a clause; null: it can. */
export function signerProblem(pins: AlgorithmPins, schemes: readonly SignatureScheme[]): string | null {
  if (pins.signature === null || schemes.some(({ kind }) => kind === pins.signature)) return null;
  const kinds = [...new Set(schemes.map(({ kind }) => kind))].join(', ');
  return `the signing key makes ${kinds === '' ? 'none' : kinds}, and not ${pins.signature}`;
}

function keyProblem({ keyManagement }: AlgorithmPins, certificate: Certificate): string | null {
  if (keyManagement === null || keyManagement === managementOf(certificate, keyManagement)) return null;
  return `its certificate has a key for ${managementOf(certificate, keyManagement)}, and not for ${keyManagement}`;
}

/** What is done with the certificate's key; of what RSA keys do, what is wanted. */
function managementOf(certificate: Certificate, wanted: string): string {
  if (canTransportKeys(certificate)) return wanted.startsWith('rsa-') ? wanted : 'RSA';
  const { asymmetricKeyType = '' } = certificate.publicKey;
  return asymmetricKeyType.startsWith('ml-kem') ? 'ml-kem' : 'ecdh';
}
