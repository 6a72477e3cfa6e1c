import { randomBytes } from 'node:crypto';
import type { KeyUse, ThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { type Started, started } from './disposable.ts';
import { type Pcsc, pcsc } from './pcsc.ts';
import type { CardKeyType } from './virtual-card/card-key.ts';
import type { CardWorker } from './virtual-card/card-worker.ts';
import type { KeyReference } from './virtual-card/data-objects.ts';
import type { Held } from './virtual-card/held-card.ts';
import type { CardCounters } from './virtual-card/piv-card.ts';

/** A PIV card of a person, made of nothing but code. Its keys are made in it; certificates are issued for the public keys. */
export type VirtualCard = {
  readonly pin: string;
  readonly puk: string;
  /** Hexadecimal. OpenSC's serial number of the token is its last 16 digits. */
  readonly guid: string;
  readonly keys: readonly VirtualCardKey[];
  /** The tries that are left, of PIN and PUK. Stays with the card, in whatever reader or in none. */
  triesLeft(): Promise<{ pin: number; puk: number }>;
  counters(): Promise<CardCounters>;
  /** Makes the card wait with such commands, before it does them. */
  hold(what: Held): Promise<HeldCommand>;
  /** For the thread's eyes. */
  readonly number: number;
};

export type VirtualCardKey = {
  reference: KeyReference;
  type: CardKeyType;
  address: string;
  /** PEM, SubjectPublicKeyInfo. */
  publicKey: string;
  /** PEM; null: there is none on the card. */
  certificate: string | null;
};

export type HeldCommand = {
  /** Settles when such a command is inside the card. */
  readonly reached: Promise<void>;
  /** The card goes on. After a removal nothing of it happens. */
  release(): Promise<void>;
};

export type CardKeyRequest = {
  /** 9a: authentication, 9c: signature (PIN for each use), 9d: key management, 9e: without PIN, 82 ff.: retired. */
  reference: KeyReference;
  type?: CardKeyType;
  address?: string;
  /** Without it what the slot is for: 9d and retired keys encrypt, the others sign. */
  use?: KeyUse;
  /** Validity of its certificate from now; negative: it is over. */
  days?: number;
  certified?: boolean;
};

export type VirtualCardOptions = {
  /** The address of certificates that name no other. */
  address?: string;
  /** Without it 9a, 9c and 9d, all RSA-2048. */
  keys?: readonly CardKeyRequest[];
  /** 6 to 8 digits. */
  pin?: string;
  /** 8 characters. */
  puk?: string;
  /** Without it 3 each, at most 15. */
  pinTries?: number;
  pukTries?: number;
  /** Certificates are stored compressed, as cards with little room do. */
  compressed?: boolean;
};

const USUAL_KEYS: readonly CardKeyRequest[] = [{ reference: '9a' }, { reference: '9c' }, { reference: '9d' }];

/** A PC/SC service with this card in its first reader. */
export type CardInReader = Pcsc & {
  readonly card: VirtualCard;
  /** This card, or another one, into the reader. */
  insert(card?: VirtualCard): Promise<void>;
  remove(): Promise<void>;
};

export async function virtualCard(
  pki: ThrowawayPki,
  options: VirtualCardOptions & { inserted?: boolean } = {},
): Promise<Started<CardInReader>> {
  const service = await pcsc();
  const reader = service.reader(0);
  try {
    const card = await service.newCard(pki, options);
    if (options.inserted !== false) await reader.insert(card);
    return started({
      ...service,
      card,
      insert: (other = card) => reader.insert(other),
      remove: () => reader.remove(),
    });
  } catch (error) {
    await service.stop();
    throw error;
  }
}

/** Makes a card in the cards' thread and has its keys certified. It is in no reader yet. */
export async function newVirtualCard(
  worker: CardWorker,
  pki: ThrowawayPki,
  options: VirtualCardOptions,
): Promise<VirtualCard> {
  const requests = options.keys ?? USUAL_KEYS;
  const pin = options.pin ?? '471100';
  const puk = options.puk ?? '00471100';
  const guid = randomBytes(16);
  const { card, publicKeys } = await worker.call('newCard', {
    pin,
    puk,
    pinTries: options.pinTries ?? 3,
    pukTries: options.pukTries ?? 3,
    guid,
    compressed: options.compressed ?? false,
    keys: new Map(requests.map(({ reference, type }) => [reference, type ?? 'rsa-2048'])),
  });
  const keys = await Promise.all(
    requests.map(async (request): Promise<VirtualCardKey> => {
      const address = request.address ?? options.address ?? 'card@sealgate.test';
      const publicKey = publicKeys.get(request.reference) ?? '';
      const use = request.use ?? usualUse(request.reference);
      const { certified, days } = request;
      const wanted = { address, use, ...(days === undefined ? {} : { days }) };
      const certificate = certified === false ? null : await pki.issueForPublicKey(publicKey, wanted);
      return {
        reference: request.reference,
        type: request.type ?? 'rsa-2048',
        address,
        publicKey,
        certificate,
      };
    }),
  );
  const certificates = new Map<KeyReference, Uint8Array>();
  for (const { reference, certificate } of keys) {
    if (certificate !== null) certificates.set(reference, derOf(certificate));
  }
  await worker.call('setCertificates', { card, certificates });
  return {
    pin,
    puk,
    guid: guid.toString('hex'),
    keys,
    number: card,
    counters: () => worker.call('counters', card),
    async triesLeft() {
      const { pinTriesLeft, pukTriesLeft } = await worker.call('counters', card);
      return { pin: pinTriesLeft, puk: pukTriesLeft };
    },
    async hold(what) {
      await worker.call('hold', { card, what });
      const reached = worker.call('reached', card);
      return { reached, release: () => worker.call('release', card) };
    },
  };
}

function usualUse(reference: KeyReference): KeyUse {
  return reference === '9d' || reference.startsWith('8') ? 'encrypt' : 'sign';
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
}
