import type { DecryptionKey } from '../../cms/keys.ts';
import { SealgateError } from '../../errors.ts';
import type { Log } from '../../log/log.ts';
import { parseCertificate } from '../../pki/certificate.ts';
import { KeyClient } from '../client/key-client.ts';
import { errorOf, refused } from '../failures.ts';
import type { KeyDescription } from '../inventory.ts';
import type { FromKeyProcess, ToKeyProcess } from '../messages.ts';
import type { TokenSource } from '../source-kinds.ts';

type Permit = ToKeyProcess & { kind: 'permit' };

/**
 * The token that a key store is sealed to, used from inside the store's key process: with a key process of its own, for as long as
 * the store is being opened. Every PIN is asked leave for from the gateway, as with a token in the configuration.
 */
export class UnlockByToken {
  readonly #send: (message: FromKeyProcess) => void;
  #client: KeyClient | null = null;
  #permit: PromiseWithResolvers<Permit> | null = null;
  /** Of the login under way. */
  #identity: string | null = null;

  constructor(send: (message: FromKeyProcess) => void) {
    this.#send = send;
  }

  permitted(permit: Permit): void {
    this.#permit?.resolve(permit);
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }

  /**
   * Waits for the token for as long as that takes: it may be a card that is out, with a PIN that a person types.
   *
   * @throws SealgateError `key.refused`
   */
  async open(
    place: TokenSource,
    label: string | null,
  ): Promise<{ key: DecryptionKey; close(): Promise<void> }> {
    const client = KeyClient.start({
      source: 'the key store’s token',
      place,
      log: this.#log(),
      refusals: { has: (identity) => this.#wasRefused(identity), add: () => undefined },
      // A person has as long as it takes to find the card.
      times: { pin: 24 * 3_600_000 },
    });
    this.#client = client;
    try {
      await this.#untilThere(client);
      const key = await this.#keyOf(client, label);
      return { key, close: () => client.close() };
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  #untilThere(client: KeyClient): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        const { state } = client;
        if (state.kind === 'absent') this.#send({ kind: 'absent', failure: state.failure });
        if (state.kind === 'refused') {
          this.#send({ kind: 'refused', failure: state.failure, identity: this.#identity });
          this.#identity = null;
        }
        if (state.kind === 'open' || state.kind === 'locked') resolve();
      };
      client.onChange(look);
      look();
    });
  }

  async #keyOf(client: KeyClient, label: string | null): Promise<DecryptionKey> {
    const { state } = client;
    const keys = state.kind === 'open' || state.kind === 'locked' ? state.inventory.keys : [];
    const able = keys.filter((key) => key.opens.length > 0 && (label === null || key.label === label));
    const [only, second] = able;
    if (only === undefined || second !== undefined) {
      throw new SealgateError({
        code: 'key.store-unlock-key',
        publicText: `The token that unlocks the key store has ${able.length === 0 ? 'no key for decryption' : 'several keys for decryption'}${label === null ? '' : ` with the label ${label}`}; name the right one by its label.`,
        duration: 'permanent',
      });
    }
    return new UnlockingKey(client, only);
  }

  async #wasRefused(identity: string): Promise<boolean> {
    this.#identity = identity;
    this.#permit = Promise.withResolvers<Permit>();
    this.#send({ kind: 'login', identity, inventory: null });
    return !(await this.#permit.promise).may;
  }

  /** Nobody reads a log here; but that a person is being asked, the gateway has to know. */
  #log(): Log {
    return {
      write: (event) => {
        if (event.event === 'key.pin-asked') this.#send({ kind: 'asking' });
      },
    };
  }
}

class UnlockingKey implements DecryptionKey {
  readonly label: string;
  readonly certificate;
  readonly readsOaep: boolean;
  readonly #client: KeyClient;
  readonly #key: string;

  constructor(client: KeyClient, { key, label, certificate, opens }: KeyDescription) {
    this.#client = client;
    this.#key = key;
    this.label = label;
    this.certificate = parseCertificate(Buffer.from(certificate));
    this.readsOaep = opens.includes('rsa-oaep');
  }

  decryptKey(scheme: Parameters<DecryptionKey['decryptKey']>[0], encryptedKey: Uint8Array): Promise<Buffer> {
    return this.#client.perform({ kind: 'decrypt', key: this.#key, scheme, encryptedKey });
  }

  agree(originator: Uint8Array): Promise<Buffer> {
    return this.#client.perform({ kind: 'agree', key: this.#key, originator });
  }

  decapsulate(): Promise<Buffer> {
    return Promise.reject(errorOf(refused('a key store is not sealed so')));
  }
}
