import { type CommandApdu, type ResponseApdu, statusWord, triesLeftStatus } from './apdu.ts';
import type { CardKey } from './card-key.ts';
import { CommandChain } from './command-chain.ts';
import { type DataObjects, type KeyReference, PIN_PROTECTED, PIV_AID } from './data-objects.ts';
import { isPin, isPuk, OCTETS, ReferenceData } from './reference-data.ts';
import { decodeTlvs, encodeTlv } from './tlv.ts';

/**
 * A PIV card (SP 800-73-4 part 2): SELECT, GET DATA, VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER, GENERAL
 * AUTHENTICATE. Its content is fixed: no PUT DATA, no key generation, no secure messaging.
 */

export type PivCardOptions = {
  pin: string;
  puk: string;
  pinTries: number;
  pukTries: number;
};

export type CardCounters = {
  pinTriesLeft: number;
  pukTriesLeft: number;
  /** How often a PIN was presented, right or wrong; asking for the tries left does not count. */
  pinsPresented: number;
  /** Private key operations that were done. */
  operations: number;
  /** Whole commands of any kind. */
  commands: number;
};

/** What a command is about, for stopping one of them on its way. */
export type CommandKind = 'pin' | 'operation' | 'other';

/** Key references whose key wants the PIN right before each use ("PIN always"). */
const PIN_ALWAYS: ReadonlySet<number> = new Set([0x9c]);
/** Card authentication: without PIN. */
const PIN_NEVER: ReadonlySet<number> = new Set([0x9e]);

const PIN = 0x80;
const PUK = 0x81;

export class PivCard {
  readonly #keys: ReadonlyMap<KeyReference, CardKey>;
  readonly #pin: ReferenceData;
  readonly #puk: ReferenceData;
  readonly #chain = new CommandChain((command) => this.#perform(command));
  #objects: DataObjects;
  #verified = false;
  /** The command before this one verified the PIN. */
  #justVerified = false;
  #operations = 0;
  #commands = 0;

  constructor(keys: ReadonlyMap<KeyReference, CardKey>, objects: DataObjects, options: PivCardOptions) {
    this.#keys = keys;
    this.#objects = objects;
    this.#pin = new ReferenceData(options.pin, options.pinTries);
    this.#puk = new ReferenceData(options.puk, options.pukTries);
  }

  /**
   * T=1 and, as historical octets, the identifier of the PIV application, by which middleware takes the card for one that
   * keeps to the standard.
   */
  get answerToReset(): Buffer {
    const historical = Buffer.concat([Buffer.of(0x80, 0xf9), PIV_AID.subarray(0, 9)]);
    const checked = Buffer.concat([Buffer.of(0x80 | historical.length, 0x01), historical]);
    const check = checked.reduce((sum, octet) => sum ^ octet, 0);
    return Buffer.concat([Buffer.of(0x3b), checked, Buffer.of(check)]);
  }

  get counters(): CardCounters {
    return {
      pinTriesLeft: this.#pin.triesLeft,
      pukTriesLeft: this.#puk.triesLeft,
      pinsPresented: this.#pin.presented,
      operations: this.#operations,
      commands: this.#commands,
    };
  }

  /** What the card says of itself from now on, as after a visit at its issuer. */
  replaceObjects(objects: DataObjects): void {
    this.#objects = objects;
  }

  /** Power off, power on and reset have the same effect: who was logged in is forgotten, counters are not. */
  reset(): void {
    this.#verified = false;
    this.#justVerified = false;
    this.#chain.forget();
  }

  static kindOf(octets: Buffer): CommandKind {
    // Parts of a chain and asking for the tries left are not what people wait for.
    if (((octets[0] ?? 0) & 0x10) !== 0) return 'other';
    switch (octets[1]) {
      case INS.verify:
        return octets.length > 5 ? 'pin' : 'other';
      case INS.generalAuthenticate:
        return 'operation';
      default:
        return 'other';
    }
  }

  transmit(octets: Buffer): Buffer {
    return this.#chain.transmit(octets);
  }

  #perform(command: CommandApdu): ResponseApdu {
    this.#commands++;
    const justVerified = this.#justVerified;
    this.#justVerified = false;
    switch (command.ins) {
      case INS.select:
        return select(command);
      case INS.getData:
        return this.#getData(command);
      case INS.verify:
        return only(this.#verify(command));
      case INS.changeReferenceData:
        return only(this.#change(command));
      case INS.resetRetryCounter:
        return only(this.#unblock(command));
      case INS.generalAuthenticate:
        return this.#authenticate(command, justVerified);
      default:
        return only(statusWord.instructionNotSupported);
    }
  }

  #getData({ p1, p2, data }: CommandApdu): ResponseApdu {
    if (p1 !== 0x3f || p2 !== 0xff) return only(statusWord.wrongParameters);
    const [list] = decodeTlvs(data) ?? [];
    if (list?.tag !== 0x5c || list.value.length < 1 || list.value.length > 3)
      return only(statusWord.wrongData);
    const tag = list.value.readUIntBE(0, list.value.length);
    if (PIN_PROTECTED.has(tag) && !this.#verified) return only(statusWord.securityNotSatisfied);
    const object = this.#objects.get(tag);
    return object === undefined ? only(statusWord.notFound) : { data: object, status: statusWord.ok };
  }

  #verify({ p1, p2, data }: CommandApdu): number {
    if (p2 !== PIN) return statusWord.referenceNotFound;
    if (p1 === 0xff && data.length === 0) {
      this.#verified = false;
      return statusWord.ok;
    }
    if (p1 !== 0) return statusWord.wrongParameters;
    if (data.length === 0) return this.#verified ? statusWord.ok : this.#pinStatus();
    if (!isPin(data)) return statusWord.wrongData;
    const status = this.#pin.verify(data);
    this.#verified = status === statusWord.ok;
    this.#justVerified = this.#verified;
    return status;
  }

  #pinStatus(): number {
    const tries = this.#pin.triesLeft;
    return tries === 0 ? statusWord.authenticationBlocked : triesLeftStatus(tries);
  }

  #change({ p1, p2, data }: CommandApdu): number {
    if (p1 !== 0) return statusWord.wrongParameters;
    if (p2 !== PIN && p2 !== PUK) return statusWord.referenceNotFound;
    const [old, fresh] = halves(data);
    const fits = p2 === PIN ? isPin : isPuk;
    if (!fits(old) || !fits(fresh)) return statusWord.wrongData;
    const reference = p2 === PIN ? this.#pin : this.#puk;
    const status = reference.verify(old);
    if (status === statusWord.ok) reference.replace(fresh);
    if (p2 === PIN) this.#verified = status === statusWord.ok;
    return status;
  }

  #unblock({ p1, p2, data }: CommandApdu): number {
    if (p1 !== 0) return statusWord.wrongParameters;
    if (p2 !== PIN) return statusWord.referenceNotFound;
    const [puk, fresh] = halves(data);
    if (!isPuk(puk) || !isPin(fresh)) return statusWord.wrongData;
    const status = this.#puk.verify(puk);
    if (status === statusWord.ok) this.#pin.replace(fresh);
    return status;
  }

  #authenticate({ p1, p2, data }: CommandApdu, justVerified: boolean): ResponseApdu {
    const key = this.#keys.get(p2.toString(16) as KeyReference);
    if (key === undefined || key.algorithm !== p1) return only(statusWord.wrongParameters);
    if (!this.#mayUse(p2, justVerified)) return only(statusWord.securityNotSatisfied);
    const [template, ...more] = decodeTlvs(data) ?? [];
    if (template?.tag !== 0x7c || more.length > 0) return only(statusWord.wrongData);
    const fields = decodeTlvs(template.value) ?? [];
    // 82 is empty: the response is asked for. 81: challenge. 85: exponentiation.
    const asks = fields.some(({ tag, value }) => tag === 0x82 && value.length === 0);
    const challenge = fields.find(({ tag }) => tag === 0x81)?.value;
    const point = fields.find(({ tag }) => tag === 0x85)?.value;
    if (!asks || fields.length !== 2) return only(statusWord.wrongData);
    const result =
      (challenge === undefined ? null : key.sign(challenge)) ??
      (point === undefined ? null : key.agree(point));
    if (result === null) return only(statusWord.wrongData);
    this.#operations++;
    return { data: encodeTlv(0x7c, encodeTlv(0x82, result)), status: statusWord.ok };
  }

  #mayUse(reference: number, justVerified: boolean): boolean {
    if (PIN_NEVER.has(reference)) return true;
    return PIN_ALWAYS.has(reference) ? justVerified : this.#verified;
  }
}

const INS = {
  verify: 0x20,
  changeReferenceData: 0x24,
  resetRetryCounter: 0x2c,
  generalAuthenticate: 0x87,
  select: 0xa4,
  getData: 0xcb,
} as const;

/** By name, the version may be left out; what is not there leaves the PIV application selected. */
function select({ p1, p2, data }: CommandApdu): ResponseApdu {
  if (p1 !== 0x04 || p2 !== 0x00) return only(statusWord.wrongParameters);
  const isPiv = data.length >= 9 && PIV_AID.subarray(0, data.length).equals(data);
  if (!isPiv) return only(statusWord.notFound);
  const authority = encodeTlv(0x79, encodeTlv(0x4f, PIV_AID.subarray(0, 5)));
  const label = encodeTlv(0x50, Buffer.from('Virtual PIV card', 'latin1'));
  return {
    data: encodeTlv(0x61, encodeTlv(0x4f, PIV_AID.subarray(5)), authority, label),
    status: statusWord.ok,
  };
}

function halves(data: Buffer): [Buffer, Buffer] {
  if (data.length !== 2 * OCTETS) return [Buffer.alloc(0), Buffer.alloc(0)];
  return [data.subarray(0, OCTETS), data.subarray(OCTETS)];
}

function only(status: number): ResponseApdu {
  return { data: Buffer.alloc(0), status };
}
