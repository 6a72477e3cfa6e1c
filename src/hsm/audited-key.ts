import type { DecryptionKey, KeyTransportScheme, SignatureScheme, SigningKey } from '../cms/keys.ts';
import type { Log } from '../log/log.ts';
import type { Certificate } from '../pki/certificate.ts';

/** For whom and for what a key is handed out; every use of it is one event `key.used`. */
export type Audit = {
  log: Log;
  principal: string;
  /** Mail or session; `-` where the caller names none. */
  usedFor: string;
};

export class AuditedSigningKey implements SigningKey {
  readonly label: string;
  readonly certificate: Certificate;
  readonly chain: readonly Certificate[];
  readonly schemes: readonly SignatureScheme[];
  readonly #key: SigningKey;
  readonly #audit: Audit;

  constructor(key: SigningKey, audit: Audit) {
    this.label = key.label;
    this.certificate = key.certificate;
    this.chain = key.chain;
    this.schemes = key.schemes;
    this.#key = key;
    this.#audit = audit;
  }

  sign(scheme: SignatureScheme, data: Uint8Array): Promise<Buffer> {
    return audited(this.#audit, this.label, 'sign', () => this.#key.sign(scheme, data));
  }
}

export class AuditedDecryptionKey implements DecryptionKey {
  readonly label: string;
  readonly certificate: Certificate;
  readonly readsOaep: boolean;
  readonly #key: DecryptionKey;
  readonly #audit: Audit;

  constructor(key: DecryptionKey, audit: Audit) {
    this.label = key.label;
    this.certificate = key.certificate;
    this.readsOaep = key.readsOaep ?? true;
    this.#key = key;
    this.#audit = audit;
  }

  decryptKey(scheme: KeyTransportScheme, encryptedKey: Uint8Array): Promise<Buffer> {
    return audited(this.#audit, this.label, 'decrypt', () => this.#key.decryptKey(scheme, encryptedKey));
  }

  agree(originatorPublicKey: Uint8Array): Promise<Buffer> {
    return audited(this.#audit, this.label, 'decrypt', () => this.#key.agree(originatorPublicKey));
  }

  decapsulate(ciphertext: Uint8Array): Promise<Buffer> {
    return audited(this.#audit, this.label, 'decrypt', () => this.#key.decapsulate(ciphertext));
  }
}

async function audited(
  audit: Audit,
  key: string,
  operation: 'sign' | 'decrypt',
  use: () => Promise<Buffer>,
): Promise<Buffer> {
  let outcome: 'done' | 'failed' = 'failed';
  try {
    const result = await use();
    outcome = 'done';
    return result;
  } finally {
    const { log, principal, usedFor } = audit;
    log.write({ event: 'key.used', level: 'info', principal, key, operation, mail: usedFor, outcome });
  }
}
