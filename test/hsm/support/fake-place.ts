import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hash,
  type KeyObject,
  privateDecrypt,
  sign,
} from 'node:crypto';
import type { SealgateError } from '../../../src/errors.ts';
import { errorOf, refused, unavailable } from '../../../src/hsm/failures.ts';
import type { Inventory, KeyDescription } from '../../../src/hsm/inventory.ts';
import type { KeyPlace, KeyState } from '../../../src/hsm/key-state.ts';
import type { Failure } from '../../../src/hsm/messages.ts';
import type { Operation } from '../../../src/hsm/operation.ts';
import { signatureSchemes } from '../../../src/hsm/signature-schemes.ts';
import { cryptoParameters } from '../../../src/hsm/verify-signature.ts';
import { readCertificates } from '../../../src/pki/certificate-file.ts';
import type { Authority } from './authority.ts';

/** A key on a token that exists in the test only. */
export type FakeKey = KeyDescription & { privateKey: KeyObject };

/** The key `${name}.key` of the authority with its certificate `${name}.crt`, as a key process describes it. */
export function fakeKey(authority: Authority, name: string, changes: Partial<KeyDescription> = {}): FakeKey {
  const [certificate] = readCertificates(authority.read(`${name}.crt`));
  if (certificate === undefined) throw new Error(`${name} has no certificate`);
  const kind = certificate.publicKey.asymmetricKeyType;
  return {
    key: hash('sha256', certificate.subjectPublicKeyInfo),
    label: name,
    id: '01',
    certificate: certificate.der,
    schemes: [...signatureSchemes(certificate)],
    opens: kind === 'rsa' ? ['rsa-pkcs1', 'rsa-oaep'] : ['agree'],
    alwaysAuthenticate: false,
    privateKey: createPrivateKey(authority.read(`${name}.key`)),
    ...changes,
  };
}

export type FakeToken = {
  serial?: string;
  label?: string;
  seen?: Inventory['seen'];
  certificates?: readonly Uint8Array[];
};

export function inventoryOf(keys: readonly FakeKey[], token: FakeToken | null = {}): Inventory {
  return {
    token:
      token === null
        ? null
        : {
            label: token.label ?? 'card',
            serial: token.serial ?? '0001',
            model: 'm',
            manufacturer: 'x',
            reader: 'Reader 00',
            pin: 'fine',
          },
    keys: keys.map(({ privateKey: _, ...description }) => description),
    certificates: [...(token?.certificates ?? []), ...keys.map(({ certificate }) => certificate)],
    seen: token?.seen ?? 'after-login',
  };
}

export const OUT: Failure = unavailable('The card is not in its reader; insert it.', 'no token', true);

/**
 * A place of keys without a process: the test inserts and removes its token. Uses of keys are real, done by node:crypto;
 * they wait where the test says so.
 */
export class FakePlace implements KeyPlace {
  state: KeyState = { kind: 'starting' };
  load = 0;
  processId: number | null = 1;
  generation = 1;
  closed = 0;
  reloads = 0;
  /** Thrown by the next reload. */
  reloadTrouble: SealgateError | null = null;
  /** Thrown by every use. */
  trouble: Error | null = null;
  /** What every use waits for. */
  gate: Promise<void> | null = null;
  /** Every use, those that failed included. */
  readonly used: Operation[] = [];
  readonly settled: Promise<void>;
  readonly #keys = new Map<string, FakeKey>();
  readonly #listeners: (() => void)[] = [];
  readonly #settle: () => void;
  #last: Inventory | null = null;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.settled = promise;
    this.#settle = resolve;
  }

  insert(keys: readonly FakeKey[], token: FakeToken | null = {}): this {
    this.#keys.clear();
    for (const key of keys) this.#keys.set(key.key, key);
    this.#last = inventoryOf(keys, token);
    return this.become({ kind: 'open', inventory: this.#last });
  }

  /** The certificates can be read; nobody has typed the PIN. */
  insertLocked(keys: readonly FakeKey[], token: FakeToken = {}): this {
    return this.become({ kind: 'locked', inventory: inventoryOf(keys, { ...token, seen: 'before-login' }) });
  }

  remove(failure: Failure = OUT): this {
    return this.become({ kind: 'absent', failure, last: this.#last });
  }

  refuse(failure: Failure): this {
    return this.become({ kind: 'refused', failure, last: this.#last });
  }

  become(state: KeyState): this {
    this.state = state;
    if (state.kind !== 'starting') this.#settle();
    for (const listener of this.#listeners) listener();
    return this;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async perform(operation: Operation): Promise<Buffer> {
    this.used.push(operation);
    this.load++;
    try {
      await this.gate;
      if (this.trouble !== null) throw this.trouble;
      const { state } = this;
      if (state.kind === 'absent' || state.kind === 'refused') throw errorOf(state.failure);
      return this.#perform(operation);
    } finally {
      this.load--;
    }
  }

  async reload(): Promise<void> {
    this.reloads++;
    if (this.reloadTrouble !== null) throw this.reloadTrouble;
  }

  async close(): Promise<void> {
    this.closed++;
    this.become({ kind: 'closed' });
  }

  #perform(operation: Operation): Buffer {
    const key = this.#keys.get(operation.key);
    if (key === undefined) throw errorOf(refused('no such key'));
    switch (operation.kind) {
      case 'sign': {
        const { digest, options } = cryptoParameters(operation.scheme);
        return sign(digest, operation.data, { key: key.privateKey, ...options });
      }
      case 'decrypt':
        return privateDecrypt(key.privateKey, operation.encryptedKey);
      case 'agree': {
        const publicKey = createPublicKey({
          key: Buffer.from(operation.originator),
          type: 'spki',
          format: 'der',
        });
        return diffieHellman({ privateKey: key.privateKey, publicKey });
      }
      case 'decapsulate':
        throw errorOf(refused('decapsulate'));
    }
  }
}
