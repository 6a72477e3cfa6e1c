import {
  announcesBoundKeys,
  announcesOaep,
  announcesPss,
  type Capability,
  capabilitiesOf,
  contentEncryptions,
} from '../cms/capabilities.ts';
import type { ContentEncryptionName } from '../cms/content-encryption.ts';
import type { RecipientRequest } from '../cms/encrypt.ts';
import { canTransportKeys } from '../cms/key-transport.ts';
import type { SignatureScheme } from '../cms/keys.ts';
import { schemeName } from '../cms/signatures.ts';
import { SealgateError } from '../errors.ts';
import type { Certificate } from '../pki/certificate.ts';
import { chooseContentEncryption } from './capabilities.ts';
import type { AlgorithmPins } from './pinned-algorithms.ts';

/**
 * With what one message is signed and encrypted. Pure, and each choice with its reason for people.
 *
 * What is known of a reader, best evidence first: the sMIMECapabilities of its last signed mail, those in its certificate (RFC
 * 4262), the kind of its key. Where nothing is known, what every program reads; where a reader cannot be known to read
 * something, nobody of the same message gets it.
 */

export type AlgorithmSettings = {
  /** Signatures with RSA keys. `automatic`: PSS where every reader says that it reads it. */
  rsaSignature: 'automatic' | 'pkcs1' | 'pss';
  /** Content keys for RSA keys. `automatic`: OAEP for those who say that they read it. */
  rsaKeyTransport: 'automatic' | 'pkcs1' | 'oaep';
  /** Whether ML-KEM certificates are encrypted to and ML-DSA keys sign. */
  postQuantum: boolean;
  /** Whether content keys are bound to their algorithm (RFC 9709) where every reader says that it reads that. */
  boundContentKeys: boolean;
  /** What a rule demands; absent or null: nothing. Whoever asks has looked whether it can be done (pinned-algorithms.ts). */
  pins?: AlgorithmPins | null;
};

export const cautiousAlgorithms: AlgorithmSettings = {
  rsaSignature: 'automatic',
  rsaKeyTransport: 'automatic',
  postQuantum: false,
  boundContentKeys: false,
};

/** Somebody who is to read a message. */
export type Reader = {
  certificate: Certificate;
  /** Of its last signed mail; empty: nothing is known. */
  capabilities: readonly Capability[];
};

export type SignatureChoice = { scheme: SignatureScheme; name: string; because: string };

/**
 * @param schemes of the signing key, preferred first
 * @param readers null: one of whom nothing is known, not even a certificate
 * @throws SealgateError `cms.no-scheme`
 */
export function chooseSignature(
  schemes: readonly SignatureScheme[],
  readers: readonly (Reader | null)[],
  settings: AlgorithmSettings,
): SignatureChoice {
  const [first] = schemes;
  if (first === undefined) throw noScheme('The signing key cannot make any signature that mail has');
  const chosen = (scheme: SignatureScheme, because: string): SignatureChoice => {
    return { scheme, name: schemeName(scheme), because };
  };
  const pinned = schemes.find(({ kind }) => kind === settings.pins?.signature);
  if (pinned !== undefined) return chosen(pinned, 'the rule');
  const pss = schemes.find(({ kind }) => kind === 'rsa-pss');
  const pkcs1 = schemes.find(({ kind }) => kind === 'rsa-pkcs1');
  if (pss === undefined && pkcs1 !== undefined && settings.rsaSignature === 'pss') {
    throw noScheme(
      'The signing key is on a token that cannot make the PSS signatures that smime.rsaSignature demands',
    );
  }
  if (pss === undefined || pkcs1 === undefined) return chosen(first, 'the kind of the signing key');
  switch (settings.rsaSignature) {
    case 'pss':
      return chosen(pss, 'smime.rsaSignature');
    case 'pkcs1':
      return chosen(pkcs1, 'smime.rsaSignature');
    case 'automatic': {
      const known = readers.length > 0 && readers.every((one) => one !== null && announcesPss(told(one)));
      if (known) return chosen(pss, 'every reader says that it reads PSS');
      return chosen(pkcs1, 'every program reads it');
    }
  }
}

export type RecipientChoice = { request: RecipientRequest; scheme: string; because: string };

export type EncryptionChoice = {
  contentEncryption: ContentEncryptionName;
  because: string;
  boundKey: boolean;
  /** In the order of the readers, and then the sender, where she has a certificate. */
  recipients: readonly RecipientChoice[];
};

/**
 * @param own the sender's certificate; null: the message is encrypted to the readers alone. This gateway opens her copy and reads
 *   all that it writes; of the programs that she may open it with besides, nothing is known.
 * @throws SealgateError `pki.unsupported-key`
 */
export function chooseEncryption(
  readers: readonly Reader[],
  own: Certificate | null,
  settings: AlgorithmSettings,
): EncryptionChoice {
  const evidence = readers.map(told);
  const pinned = settings.pins?.contentEncryption ?? null;
  const contentEncryption = pinned ?? chooseContentEncryption(evidence);
  const said = evidence.every((capabilities) => contentEncryptions(capabilities).includes(contentEncryption));
  return {
    contentEncryption,
    because:
      pinned !== null
        ? 'the rule'
        : said
          ? 'every reader says that it reads it'
          : 'every program of this century reads it',
    boundKey: settings.boundContentKeys && evidence.every(announcesBoundKeys),
    recipients: [...readers, ...(own === null ? [] : [{ certificate: own, capabilities: [] }])].map(
      (reader) => chooseKeyManagement(reader, settings),
    ),
  };
}

function chooseKeyManagement(reader: Reader, settings: AlgorithmSettings): RecipientChoice {
  const { certificate } = reader;
  if (!canTransportKeys(certificate)) {
    const { asymmetricKeyType = '', asymmetricKeyDetails } = certificate.publicKey;
    const scheme =
      asymmetricKeyType === 'ec' ? `ecdh ${asymmetricKeyDetails?.namedCurve}` : asymmetricKeyType;
    return { request: { certificate }, scheme, because: 'the kind of the key' };
  }
  const transport = (oaep: boolean, because: string): RecipientChoice => ({
    request: { certificate, keyTransport: oaep ? 'rsa-oaep' : 'rsa-pkcs1' },
    scheme: oaep ? 'rsa-oaep-sha256' : 'rsa-pkcs1',
    because,
  });
  const pinned = settings.pins?.keyManagement ?? null;
  if (pinned !== null) return transport(pinned === 'rsa-oaep', 'the rule');
  switch (settings.rsaKeyTransport) {
    case 'oaep':
      return transport(true, 'smime.rsaKeyTransport');
    case 'pkcs1':
      return transport(false, 'smime.rsaKeyTransport');
    case 'automatic':
      if (announcesOaep(reader.capabilities)) return transport(true, 'its last signed mail says so');
      if (announcesOaep(told(reader))) return transport(true, 'its certificate says so');
      return transport(false, 'every program reads it');
  }
}

/** What the reader says that it reads: a mail is newer than the certificate. Empty: nothing. */
function told({ certificate, capabilities }: Reader): readonly Capability[] {
  return capabilities.length > 0 ? capabilities : capabilitiesOf(certificate);
}

function noScheme(problem: string): SealgateError {
  return new SealgateError({
    code: 'cms.no-scheme',
    publicText: `${problem}; choose another key.`,
    duration: 'permanent',
  });
}
