import { webcrypto } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import type {
  DecryptionKey,
  DigestName,
  KeyTransportScheme,
  SignatureScheme,
  SigningKey,
} from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Secret } from '../log/secret.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';
import { chainOf } from './chain.ts';
import { KeyClient, type KeyClientTimes, keyClientTimes } from './client/token-client.ts';
import { errorOf, refused } from './failures.ts';
import { pointOf, readOriginatorKey } from './originator-key.ts';
import { includesScheme, tokenSchemes } from './signature-schemes.ts';
import type { KeyDescription, TokenDescription } from './token-messages.ts';
import { verifySignature } from './verify-signature.ts';

/**
 * A PKCS#11 token: hardware security module, card or software token. Private keys never leave it; every operation
 * is a request to the key process (key-client.ts).
 */

export type OpenTokenOptions = {
  /** Absolute path of the vendor's PKCS#11 library. */
  module: string;
  token: { label: string } | { serial: string };
  /** The user PIN. It leaves this process over the channel to the key process and in no other way. */
  pin: Secret;
  log: Log;
  /** Name in the configuration; keys are called `name/CKA_LABEL`. Default: the token's label. */
  name?: string;
  /** Certificates whose private keys are on the token while they themselves are not. */
  certificates?: readonly Certificate[];
  /** Environment variables for the module, such as SOFTHSM2_CONF; the gateway's own environment is not passed on. */
  environment?: Readonly<Record<string, string>>;
  /** Operations inside the token at the same time, 1 to 64. Default 4; a card needs 1. */
  threads?: number;
  times?: Partial<KeyClientTimes>;
};

export interface Token {
  readonly label: string;
  readonly serial: string;
  /** Keys with CKA_SIGN and a certificate. */
  signingKeys(): readonly SigningKey[];
  /** Keys with CKA_DECRYPT or CKA_DERIVE and a certificate. */
  decryptionKeys(): readonly DecryptionKey[];
  /** null while no key process runs; for supervision. */
  readonly processId: number | null;
  /** Logs out and ends the key process. */
  close(): Promise<void>;
}

/** Longer messages are hashed here, off the event loop, rather than sent to the key process. Octets. */
const LONGEST_MESSAGE = 64 * 1024;

/**
 * @throws SealgateError `key.module-unreadable`, `key.token-absent`, `key.token-ambiguous`, `key.pin-missing`,
 *   `key.pin-incorrect`, `key.pin-locked`, `key.pin-last-try`, `key.unavailable`
 */
export async function openToken(options: OpenTokenOptions): Promise<Token> {
  const { module, token, pin, log } = options;
  requireReadable(module);
  if (pin.reveal() === '') {
    throw new SealgateError({
      code: 'key.pin-missing',
      publicText: `The PIN for the token ${'label' in token ? token.label : token.serial} is empty; put it into the file or variable that the configuration names.`,
      duration: 'permanent',
    });
  }
  const client = await KeyClient.open({
    module,
    token: 'label' in token ? { by: 'label', label: token.label } : { by: 'serial', serial: token.serial },
    pin,
    certificates: (options.certificates ?? []).map((certificate) => certificate.der),
    environment: options.environment ?? {},
    threads: options.threads ?? 4,
    log,
    times: { ...keyClientTimes, ...options.times },
  });
  return new OpenedToken(client, options.name ?? client.token.label, options.certificates ?? []);
}

/** Loading happens in the key process; a wrong path is told before one is started. */
function requireReadable(module: string): void {
  try {
    accessSync(module, constants.R_OK);
  } catch (cause) {
    throw new SealgateError({
      code: 'key.module-unreadable',
      publicText: `The PKCS#11 module ${module} cannot be read; check the path and its permissions.`,
      duration: 'permanent',
      cause,
    });
  }
}

class OpenedToken implements Token {
  readonly label: string;
  readonly serial: string;
  readonly #client: KeyClient;
  readonly #signingKeys: readonly SigningKey[];
  readonly #decryptionKeys: readonly DecryptionKey[];

  constructor(client: KeyClient, name: string, certificates: readonly Certificate[]) {
    this.#client = client;
    this.label = client.token.label;
    this.serial = client.token.serial;
    const entries = readEntries(client.token, name, certificates);
    this.#signingKeys = entries
      .filter(
        (entry) =>
          entry.description.canSign && tokenSchemes(entry.certificate, client.token.mechanisms).length > 0,
      )
      .map((entry) => new TokenSigningKey(client, entry));
    this.#decryptionKeys = entries
      .filter((entry) => entry.description.canDecrypt || entry.description.canAgree)
      .map((entry) => new TokenDecryptionKey(client, entry));
  }

  signingKeys(): readonly SigningKey[] {
    return this.#signingKeys;
  }

  decryptionKeys(): readonly DecryptionKey[] {
    return this.#decryptionKeys;
  }

  get processId(): number | null {
    return this.#client.processId;
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

type Entry = {
  label: string;
  description: KeyDescription;
  certificate: Certificate;
  chain: readonly Certificate[];
};

function readEntries(token: TokenDescription, name: string, additional: readonly Certificate[]): Entry[] {
  const all = [...token.certificates.flatMap(parseIfPossible), ...additional];
  return token.keys.flatMap((description) =>
    parseIfPossible(description.certificate).map((certificate) => ({
      label: `${name}/${description.label}`,
      description,
      certificate,
      chain: chainOf(certificate, all),
    })),
  );
}

/** A token may hold certificates that have nothing to do with mail; one that cannot be read must not hide the others. */
function parseIfPossible(der: Uint8Array): Certificate[] {
  try {
    return [parseCertificate(Buffer.from(der))];
  } catch (error) {
    if (error instanceof SealgateError) return [];
    throw error;
  }
}

class TokenSigningKey implements SigningKey {
  readonly label: string;
  readonly certificate: Certificate;
  readonly chain: readonly Certificate[];
  readonly schemes: readonly SignatureScheme[];
  readonly #client: KeyClient;
  readonly #key: string;
  /** The key process whose signature was checked last. */
  #checkedWith: number | null = null;

  constructor(client: KeyClient, entry: Entry) {
    this.#client = client;
    this.#key = entry.description.key;
    this.label = entry.label;
    this.certificate = entry.certificate;
    this.chain = entry.chain;
    this.schemes = tokenSchemes(entry.certificate, client.token.mechanisms);
  }

  async sign(scheme: SignatureScheme, data: Uint8Array): Promise<Buffer> {
    if (!includesScheme(this.schemes, scheme)) throw errorOf(refused(`scheme ${scheme.kind}`));
    const long = data.length > LONGEST_MESSAGE && 'digest' in scheme;
    const signature = await this.#client.perform({
      kind: 'sign',
      key: this.#key,
      scheme,
      input: long ? 'digest' : 'message',
      data: long ? await digestOf(scheme.digest, data) : data,
    });
    await this.#check(scheme, data, signature);
    return signature;
  }

  /** Once with each process: a token whose certificate belongs to another key would sign for nobody, and unseen. */
  async #check(scheme: SignatureScheme, data: Uint8Array, signature: Buffer): Promise<void> {
    const process = this.#client.processId;
    if (process === this.#checkedWith) return;
    if (!(await verifySignature(this.certificate.publicKey, scheme, data, signature))) {
      throw new SealgateError({
        code: 'key.refused',
        publicText: `The private key ${this.label} does not belong to its certificate; ask the operator to put the right certificate on the token.`,
        duration: 'permanent',
        reason: 'the signature does not verify with the certificate',
      });
    }
    this.#checkedWith = process;
  }
}

/** CKM_RSA_X_509, with the padding computed here, and CKM_RSA_PKCS_OAEP (PKCS#11 v2.40). */
const OAEP_MECHANISMS: readonly number[] = [0x03, 0x09];

class TokenDecryptionKey implements DecryptionKey {
  readonly label: string;
  readonly certificate: Certificate;
  readonly readsOaep: boolean;
  readonly #client: KeyClient;
  readonly #description: KeyDescription;

  constructor(client: KeyClient, entry: Entry) {
    this.#client = client;
    this.#description = entry.description;
    this.label = entry.label;
    this.certificate = entry.certificate;
    this.readsOaep = OAEP_MECHANISMS.some((mechanism) => client.token.mechanisms.includes(mechanism));
  }

  async decryptKey(scheme: KeyTransportScheme, encryptedKey: Uint8Array): Promise<Buffer> {
    if (!this.#description.canDecrypt) throw errorOf(refused('CKA_DECRYPT'));
    return this.#client.perform({ kind: 'decrypt', key: this.#description.key, scheme, encryptedKey });
  }

  async agree(originatorPublicKey: Uint8Array): Promise<Buffer> {
    if (!this.#description.canAgree) throw errorOf(refused('CKA_DERIVE'));
    const { point, octets } = pointOf(readOriginatorKey(this.certificate, originatorPublicKey));
    return this.#client.perform({
      kind: 'agree',
      key: this.#description.key,
      point,
      secretOctets: octets,
    });
  }

  async decapsulate(): Promise<Buffer> {
    throw errorOf(refused('ML-KEM on a token'));
  }
}

/** On the thread pool. */
async function digestOf(digest: DigestName, data: Uint8Array): Promise<Buffer> {
  const name = { sha1: 'SHA-1', sha224: null, sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' }[
    digest
  ];
  if (name === null) throw errorOf(refused(digest));
  return Buffer.from(await webcrypto.subtle.digest(name, data as Uint8Array<ArrayBuffer>));
}
