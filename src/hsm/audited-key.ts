import type { DecryptionKey, KeyTransportScheme, SignatureScheme, SigningKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Principal } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';

/**
 * For whom and for what a key is handed out: it stays bound to that login for as long as it lives, and every use of it is one
 * event `key.used`.
 */
export type Audit = {
  log: Log;
  principal: Principal;
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
    return audited(this.#audit, this, 'sign', () => this.#key.sign(scheme, data));
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

  get isOpen(): boolean {
    return this.#key.isOpen ?? true;
  }

  get isThere(): boolean {
    return this.#key.isThere ?? true;
  }

  decryptKey(scheme: KeyTransportScheme, encryptedKey: Uint8Array): Promise<Buffer> {
    return audited(this.#audit, this, 'decrypt', () => this.#key.decryptKey(scheme, encryptedKey));
  }

  agree(originatorPublicKey: Uint8Array): Promise<Buffer> {
    return audited(this.#audit, this, 'decrypt', () => this.#key.agree(originatorPublicKey));
  }

  decapsulate(ciphertext: Uint8Array): Promise<Buffer> {
    return audited(this.#audit, this, 'decrypt', () => this.#key.decapsulate(ciphertext));
  }
}

/** A use that is refused, limited or fails leaves the same line as one that succeeds: whoever tries is seen. */
async function audited(
  { log, principal, usedFor }: Audit,
  { label, certificate }: { label: string; certificate: Certificate },
  operation: 'sign' | 'decrypt',
  use: () => Promise<Buffer>,
): Promise<Buffer> {
  const write = (outcome: 'done' | 'failed', code: string | null): void =>
    log.write({
      event: 'key.used',
      level: 'info',
      principal: principal.login,
      key: label,
      certificate: certificate.fingerprint,
      operation,
      mail: usedFor,
      outcome,
      code,
    });
  try {
    const result = await use();
    write('done', null);
    return result;
  } catch (error) {
    write('failed', error instanceof SealgateError ? error.code : 'gateway.defect');
    throw error;
  }
}
