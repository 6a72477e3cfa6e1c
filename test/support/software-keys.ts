import { hash } from 'node:crypto';
import type { DecryptionKey, SignatureScheme, SigningKey } from '../../src/cms/keys.ts';
import { errorOf, FailureError } from '../../src/hsm/failures.ts';
import type { LoadedKey } from '../../src/hsm/loaded-key.ts';
import type { Operation } from '../../src/hsm/operation.ts';
import type { KeyOperator } from '../../src/hsm/process/key-operator.ts';
import { softwareInventory } from '../../src/hsm/process/software-inventory.ts';
import { softwareOperator } from '../../src/hsm/process/software-operations.ts';
import { signatureSchemes } from '../../src/hsm/signature-schemes.ts';

export type { LoadedKey };

/**
 * Keys in the test's own process, used by the same code as in a key process but without one. The gateway never has keys
 * like these.
 */
export class SoftwareKeys {
  readonly #postQuantum: boolean;

  /** @param options postQuantum: whether ML-DSA keys sign */
  constructor({ postQuantum = false }: { postQuantum?: boolean } = {}) {
    this.#postQuantum = postQuantum;
  }

  /** null: the key does not sign. */
  signingKey(loaded: LoadedKey): SigningKey | null {
    const { label, certificate, chain } = loaded;
    const schemes: readonly SignatureScheme[] = signatureSchemes(certificate, this.#postQuantum);
    if (schemes.length === 0) return null;
    const perform = operations(loaded);
    return {
      label,
      certificate,
      chain,
      schemes,
      sign: (scheme, data) => perform({ kind: 'sign', scheme, input: 'message', data }),
    };
  }

  /** null: the key opens nothing. */
  decryptionKey(loaded: LoadedKey): DecryptionKey | null {
    const { label, certificate } = loaded;
    if (softwareInventory([loaded]).inventory.keys[0]?.opens.length === 0) return null;
    const perform = operations(loaded);
    return {
      label,
      certificate,
      decryptKey: (scheme, encryptedKey) => perform({ kind: 'decrypt', scheme, encryptedKey }),
      agree: (originator) => perform({ kind: 'agree', originator }),
      decapsulate: (ciphertext) => perform({ kind: 'decapsulate', ciphertext }),
    };
  }

  /** Nothing stays open: for tests that close what may be. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

type Use = Operation extends infer Each ? (Each extends Operation ? Omit<Each, 'key'> : never) : never;

/** What the operation gives, as the gateway's side of a key process would give it. */
function operations(loaded: LoadedKey): (use: Use) => Promise<Buffer> {
  const operator: KeyOperator = softwareOperator(softwareInventory([loaded]).threadKeys);
  const key = hash('sha256', loaded.certificate.subjectPublicKeyInfo);
  return async (use) => {
    try {
      return operator.perform({ ...use, key } as Operation);
    } catch (error) {
      throw error instanceof FailureError ? errorOf(error.failure) : error;
    }
  };
}
