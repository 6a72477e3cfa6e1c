import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';

/**
 * One question to a resolver and its answer (RFC 1035 §4), as far as certificates and mail servers need it: one name, one type,
 * class IN, and of the answer what was asked for with the aliases that lead to it. Pure.
 */
export type DnsQuestion = {
  /** A-labels without a dot at the end; '' is the root. */
  name: string;
  type: number;
};

export type DnsAnswer = {
  /**
   * RDATA of the records of the name, or of what its aliases lead to; none: there is no such name, or nothing of the type. The name in an
   * MX record is whole, on the wire and in lower case.
   */
  records: readonly Buffer[];
  /** Whether the name, or what its aliases lead to, is there at all (RFC 2308 §2.1). */
  exists: boolean;
  /** What the aliases lead to, as `DnsQuestion.name`; the name itself where there are none; null: no name of letters, digits, `-` and `_`. */
  canonical: string | null;
  /** The resolver has verified all of it by DNSSEC (RFC 4035 §3.2.3, RFC 6840 §5.8). */
  isAuthentic: boolean;
  /** Seconds for which all of it may be kept; null: there is nothing. */
  timeToLive: number | null;
};

const HEADER_OCTETS = 12;
const CLASS_IN = 1;
const TYPE_CNAME = 5;
const TYPE_MX = 15;
/** QR, and OPCODE: an answer to a plain question. */
const RESPONSE_AND_OPCODE = 0xf800;
const RESPONSE = 0x8000;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const AUTHENTIC_DATA = 0x0020;
const RCODE = 0x000f;
const NO_ERROR = 0;
const SERVER_FAILURE = 2;
const NAME_ERROR = 3;

/**
 * The octets of a question with RD and, so that the resolver says what it has verified, AD (RFC 6840 §5.7).
 *
 * @param id 0 to 65535 @throws SealgateError `dns.answer` where the name has no form on the wire
 */
export function dnsQuestion({ name, type }: DnsQuestion, id: number): Buffer {
  const head = Buffer.alloc(HEADER_OCTETS);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(RECURSION_DESIRED | AUTHENTIC_DATA, 2);
  head.writeUInt16BE(1, 4);
  return Buffer.concat([head, nameOnWire(name), twoOctets(type), twoOctets(CLASS_IN)]);
}

/**
 * What a resolver answers to `dnsQuestion`.
 *
 * @throws SealgateError (temporary) `dns.unanswered`: it found no answer for this name, or the domain says more than is read, which
 * says nothing of others; a domain whose signatures are wrong is told so (RFC 4035 §5.5). `dns.answer`: it is no answer of a resolver to this question
 */
export function readDnsAnswer(message: Buffer, { name, type }: DnsQuestion, id: number): DnsAnswer {
  if (message.length < HEADER_OCTETS) throw dnsAnswer('the message is too short');
  const flags = message.readUInt16BE(2);
  if (message.readUInt16BE(0) !== id || (flags & RESPONSE_AND_OPCODE) !== RESPONSE) {
    throw dnsAnswer('it answers another question');
  }
  // By TCP: there is more than a message has room for, which is for the domain to say, as all that is too much.
  if ((flags & TRUNCATED) !== 0) throw dnsUnanswered('the domain has more records than an answer holds');
  const rcode = flags & RCODE;
  if (rcode === SERVER_FAILURE) {
    throw dnsUnanswered(
      'it found no answer (SERVFAIL): the name servers of the domain do not answer, or its DNSSEC signatures are wrong',
    );
  }
  if (rcode !== NO_ERROR && rcode !== NAME_ERROR) throw dnsAnswer(`it refuses to answer (RCODE ${rcode})`);
  // Whoever only knows domains of its own says of others that it knows nothing, which would be taken for the truth.
  if ((flags & RECURSION_AVAILABLE) === 0) throw dnsAnswer('it does not resolve names for others');
  const reader = new MessageReader(message, HEADER_OCTETS);
  const asked = lowerCase(nameOnWire(name).toString('latin1'));
  if (message.readUInt16BE(4) !== 1) throw dnsAnswer('it answers another question');
  if (reader.name() !== asked || reader.uint16() !== type || reader.uint16() !== CLASS_IN) {
    throw dnsAnswer('it answers another question');
  }
  const count = message.readUInt16BE(6);
  if (count > limits.dns.records) throw dnsUnanswered('the domain has too many records');
  const all = Array.from({ length: count }, () => reader.record());
  return {
    ...followed(all, asked, type),
    // RFC 6604 §3: it is said of the name at the end of the aliases.
    exists: rcode !== NAME_ERROR,
    isAuthentic: (flags & AUTHENTIC_DATA) !== 0,
  };
}

/** The records at the end of the aliases (RFC 1034 §3.6.2). */
function followed(all: readonly DnsRecord[], asked: string, type: number) {
  let owner = asked;
  let timeToLive = Number.POSITIVE_INFINITY;
  for (let aliases = 0; aliases <= limits.dns.aliases; aliases++) {
    const own = all.filter((one) => one.owner === owner && one.class === CLASS_IN);
    const found = own.filter((one) => one.type === type);
    const alias = own.find((one) => one.type === TYPE_CNAME);
    const used = found.length > 0 ? found : alias === undefined ? [] : [alias];
    timeToLive = Math.min(timeToLive, ...used.map((one) => one.timeToLive));
    const canonical = textOfName(Buffer.from(owner, 'latin1'));
    if (found.length > 0) {
      const records = found.map((one) => (type === TYPE_MX ? one.mailExchange() : one.data));
      return { records, timeToLive, canonical };
    }
    if (alias === undefined) return { records: [], timeToLive: null, canonical };
    owner = alias.target();
  }
  throw dnsUnanswered('the name leads through too many aliases');
}

type DnsRecord = {
  /** As on the wire, in lower case. */
  owner: string;
  type: number;
  class: number;
  timeToLive: number;
  data: Buffer;
  /** The name that the data is. */
  target(): string;
  /** The data of an MX record without compression. */
  mailExchange(): Buffer;
};

class MessageReader {
  readonly #message: Buffer;
  #at: number;

  constructor(message: Buffer, at: number) {
    this.#message = message;
    this.#at = at;
  }

  uint16(): number {
    return this.#octets(2).readUInt16BE();
  }

  /** In the form of the wire, whole and in lower case: two spellings of one name are equal. */
  name(): string {
    const { name, next } = nameAt(this.#message, this.#at);
    this.#at = next;
    return name;
  }

  record(): DnsRecord {
    const owner = this.name();
    const type = this.uint16();
    const ofClass = this.uint16();
    const seconds = this.#octets(4).readUInt32BE();
    const length = this.uint16();
    const at = this.#at;
    const data = this.#octets(length);
    return {
      ...{ owner, type, class: ofClass, data },
      // RFC 2181 §8: with the highest bit it is none.
      timeToLive: seconds > 0x7fffffff ? 0 : seconds,
      target: () => this.#wholeName(at, at + length),
      mailExchange: () =>
        Buffer.concat([data.subarray(0, 2), Buffer.from(this.#wholeName(at + 2, at + length), 'latin1')]),
    };
  }

  #wholeName(from: number, to: number): string {
    const { name, next } = nameAt(this.#message, from);
    if (next !== to) throw dnsAnswer('a name in it is malformed');
    return name;
  }

  #octets(count: number): Buffer {
    const octets = this.#message.subarray(this.#at, this.#at + count);
    if (octets.length < count) throw dnsAnswer('the message is too short');
    this.#at += count;
    return octets;
  }
}

const LONGEST_NAME = 255;
const LONGEST_LABEL = 63;
const POINTER = 0xc0;

/** RFC 1035 §4.1.4. A pointer leads to what stands before all that was read of the name, so that no name is endless. */
function nameAt(message: Buffer, start: number): { name: string; next: number } {
  let name = '';
  let next: number | null = null;
  let from = start;
  for (let at = start; ; ) {
    const first = message[at];
    if (first === undefined) throw dnsAnswer('the message is too short');
    if ((first & POINTER) === POINTER) {
      const second = message[at + 1];
      if (second === undefined) throw dnsAnswer('the message is too short');
      const to = ((first & ~POINTER) << 8) | second;
      if (to >= from) throw dnsAnswer('a name in it is malformed');
      next ??= at + 2;
      from = to;
      at = to;
      continue;
    }
    const label = message.subarray(at, at + 1 + first);
    if (first > LONGEST_LABEL || label.length < 1 + first) throw dnsAnswer('a name in it is malformed');
    name += label.toString('latin1');
    if (name.length > LONGEST_NAME) throw dnsAnswer('a name in it is malformed');
    at += 1 + first;
    if (first === 0) return { name: lowerCase(name), next: next ?? at };
  }
}

/** ASCII alone (RFC 4343); a length of a label is never a letter's. */
function lowerCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/**
 * A whole name as it stands on the wire, uncompressed, as text in lower case without a dot at the end; '' is the root. null: it is none, or
 * no name of letters, digits, `-` and `_`, as names of hosts and domains are.
 */
export function textOfName(octets: Buffer): string | null {
  const labels: string[] = [];
  for (let at = 0; ; ) {
    const length = octets[at];
    if (length === undefined || length > LONGEST_LABEL) return null;
    if (length === 0) return at + 1 === octets.length ? labels.join('.') : null;
    const label = octets.subarray(at + 1, at + 1 + length).toString('latin1');
    if (label.length !== length || !/^[A-Za-z0-9_-]+$/.test(label)) return null;
    labels.push(lowerCase(label));
    at += 1 + length;
  }
}

function nameOnWire(name: string): Buffer {
  const labels = name === '' ? [] : name.split('.');
  const octets = Buffer.concat([
    ...labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1')),
    Buffer.alloc(1),
  ]);
  const isWhole = labels.every((label) => label.length > 0 && label.length <= LONGEST_LABEL);
  if (!isWhole || octets.length > LONGEST_NAME) throw dnsAnswer('there cannot be such a name');
  return octets;
}

function twoOctets(value: number): Buffer {
  const octets = Buffer.alloc(2);
  octets.writeUInt16BE(value);
  return octets;
}

/** Of this question alone. @param reason for the log */
export function dnsUnanswered(reason: string): SealgateError {
  return new SealgateError({
    code: 'dns.unanswered',
    publicText: 'The name server found no answer for this address.',
    duration: 'temporary',
    reason,
  });
}

/** @param reason for the log */
export function dnsAnswer(reason: string): SealgateError {
  return new SealgateError({
    code: 'dns.answer',
    publicText: 'The name server gave no answer that can be used.',
    duration: 'temporary',
    reason,
  });
}
