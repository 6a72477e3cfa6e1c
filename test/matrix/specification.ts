import type { SignatureDigestName } from '../../src/cms/digests.ts';

/** What a message of the matrix is to be, in words that every program is told in its own language. */

export type KeyName =
  | 'rsa'
  | 'rsa-pss'
  | 'P-256'
  | 'P-384'
  | 'P-521'
  | 'brainpoolP256r1'
  | 'brainpoolP384r1'
  | 'brainpoolP512r1'
  | 'secp256k1'
  | 'ed25519'
  | 'ed448'
  | 'x25519'
  | 'x448'
  | 'dsa'
  | 'dh'
  | MlDsa
  | MlKem;
export type MlDsa = 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87';
export type MlKem = 'ml-kem-512' | 'ml-kem-768' | 'ml-kem-1024';

export type Digest = 'md5' | 'ripemd160' | SignatureDigestName;

export type SignatureAlgorithm =
  | { kind: 'rsa-pkcs1' | 'ecdsa' | 'dsa'; digest: Digest }
  | { kind: 'rsa-pss'; digest: Digest; maskDigest: Digest; saltOctets: number }
  /** Ed25519, Ed448, ML-DSA: the key says it all. */
  | { kind: 'of-the-key' };

export type Signer = { key: KeyName; algorithm: SignatureAlgorithm };

export type SignedMessage = {
  kind: 'signed';
  signers: readonly Signer[];
  detached?: boolean;
  /** Without signed attributes. */
  bare?: boolean;
  /** Signers named by subjectKeyIdentifier. */
  byKeyIdentifier?: boolean;
  /** BER with indefinite lengths. */
  stream?: boolean;
  countersigner?: Signer;
  /** One more signed attribute, where the program does not write it anyway. */
  attribute?: 'signing-certificate' | 'signing-certificate-v2' | 'algorithm-protection' | 'receipt-request';
};

export type Cipher =
  | 'aes128-cbc'
  | 'aes192-cbc'
  | 'aes256-cbc'
  | 'aes128-gcm'
  | 'aes192-gcm'
  | 'aes256-gcm'
  | 'aes128-ccm'
  | 'aes192-ccm'
  | 'aes256-ccm'
  | 'chacha20-poly1305'
  | 'des-ede3-cbc'
  | 'rc2-40-cbc'
  | 'rc2-64-cbc'
  | 'rc2-128-cbc'
  | 'des-cbc'
  | 'camellia128-cbc'
  | 'camellia192-cbc'
  | 'camellia256-cbc'
  | 'seed-cbc'
  | 'idea-cbc'
  | 'cast5-cbc'
  | 'blowfish-cbc'
  | 'aria256-cbc'
  | 'sm4-cbc';

export type Wrap = 'aes128-wrap' | 'aes192-wrap' | 'aes256-wrap' | 'des-ede3-wrap';

export type Derivation = { kind: 'x963' | 'hkdf'; digest: Digest };

export type Recipient =
  | { kind: 'transport'; key: 'rsa'; byKeyIdentifier?: boolean }
  | { kind: 'oaep'; key: 'rsa'; digest: Digest; maskDigest: Digest; label?: string }
  | {
      kind: 'agreement';
      key: KeyName;
      derivation: Derivation;
      cofactor?: boolean;
      /** Menezes-Qu-Vanstone instead of Diffie-Hellman. */
      mqv?: boolean;
      /** null: the one that the program chooses. */
      wrap: Wrap | null;
      ukm?: boolean;
      byKeyIdentifier?: boolean;
    }
  | { kind: 'shared-key'; octets: 16 | 24 | 32 }
  | { kind: 'password'; digest: Digest | null }
  | { kind: 'encapsulation'; key: MlKem };

export type EnvelopedMessage = {
  kind: 'enveloped';
  cipher: Cipher;
  /** AuthEnvelopedData. */
  authenticated?: boolean;
  recipients: readonly Recipient[];
  /** Who reads: the place among the recipients; 0 when absent. */
  reader?: number;
  stream?: boolean;
  /** RFC 9709. */
  boundKey?: boolean;
  /** The row is not about the cipher: a program may take another one of its kind. */
  anyCipher?: boolean;
};

export type CompressedMessage = { kind: 'compressed'; stream?: boolean };

export type CertificatesOnly = {
  kind: 'certificates-only';
  /** The authority's certificate too. */
  withAuthority: boolean;
};

/** An S/MIME message: layers, the innermost first. */
export type MailLayer =
  | 'clear'
  | 'opaque'
  | 'encrypted'
  | 'authenticated'
  | 'compressed'
  | 'certificates-only';
export type MailMessage = {
  kind: 'mail';
  layers: readonly MailLayer[];
  signer: Signer;
  recipient: Recipient;
};

export type KeyFile = {
  kind: 'key-file';
  key: 'rsa' | 'P-256' | 'brainpoolP256r1' | 'ed25519' | 'x25519';
  /** How the key and the certificate are encrypted, and the MAC. */
  protection: KeyFileProtection;
};
export type KeyFileProtection =
  /** What the program does by itself. */
  | { kind: 'default' }
  /** What it does when it is asked to write for old programs. */
  | { kind: 'legacy' }
  /** What it does by itself, with the MAC of RFC 9579. */
  | { kind: 'pbmac1' }
  | {
      kind: 'pbes1';
      key: '3des' | 'rc2-40' | 'rc2-128' | '2des';
      certificates: '3des' | 'rc2-40' | 'rc2-128' | 'none';
    }
  | {
      kind: 'pbes2';
      cipher: 'aes128' | 'aes192' | 'aes256';
      prf: Digest;
      mac: Digest;
    };

export const EVERY_KIND = [
  'signed',
  'enveloped',
  'compressed',
  'certificates-only',
  'mail',
  'key-file',
] as const;

export type Specification =
  | SignedMessage
  | EnvelopedMessage
  | CompressedMessage
  | CertificatesOnly
  | MailMessage
  | KeyFile;

/** One line of the table. */
export type Row = {
  group: string;
  name: string;
  message: Specification;
  /** Why our engine never writes such a message, in a few words; absent: it must. */
  neverWritten?: string;
  /** Why our engine does not read such a message, in a few words; absent: it must. */
  neverRead?: string;
};

/** A program says no: its own words. What else goes wrong is a fault of the matrix. */
export class Refusal extends Error {}

/** A program that makes and reads messages. */
export interface Program {
  /** Head of its columns. */
  readonly name: string;
  /** With version, for the head of the table. */
  readonly version: string;
  /** What it is asked for; other rows are not about such a program. */
  readonly kinds: readonly Specification['kind'][];
  /** @throws Refusal */
  make(message: Specification): Promise<Buffer>;
  /**
   * Opens or verifies, and gives what is inside: the content, for a key file the PrivateKeyInfo, for certificates only
   * nothing.
   *
   * @param content what was signed, for signatures without content
   * @throws Refusal
   */
  read(message: Specification, octets: Buffer, content: Buffer): Promise<Buffer>;
  close(): Promise<void>;
}

export const PASSWORD = 'Kennwort-für-Briefe';
export const FILE_PASSWORD = 'throw-away';
export const SHARED_KEY_NAME = Buffer.from('matrix key');
export const USER_KEYING_MATERIAL = Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex');
