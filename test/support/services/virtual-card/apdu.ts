/** Commands and responses as they pass between reader and card (ISO/IEC 7816-4), short and extended lengths. */

export type CommandApdu = {
  /** Class octet, without the chaining bit. */
  cla: number;
  ins: number;
  p1: number;
  p2: number;
  data: Buffer;
  /** Most octets the sender takes in one response; 0: none expected. */
  expected: number;
  /** More of the same command follows. */
  chained: boolean;
};

export type ResponseApdu = { data: Buffer; status: number };

/** SW1 and SW2 as one number. */
export const statusWord = {
  ok: 0x9000,
  wrongLength: 0x6700,
  lastCommandOfChainExpected: 0x6883,
  securityNotSatisfied: 0x6982,
  authenticationBlocked: 0x6983,
  conditionsNotSatisfied: 0x6985,
  wrongData: 0x6a80,
  notFound: 0x6a82,
  wrongParameters: 0x6a86,
  referenceNotFound: 0x6a88,
  instructionNotSupported: 0x6d00,
  classNotSupported: 0x6e00,
} as const;

/** Verification failed, so many tries left: 63 CX. */
export function triesLeftStatus(tries: number): number {
  return 0x63c0 | Math.min(tries, 15);
}

export function encodeResponse({ data, status }: ResponseApdu): Buffer {
  return Buffer.concat([data, Buffer.from([status >>> 8, status & 0xff])]);
}

const CHAINING = 0x10;

/** @returns null where header, Lc and Le do not fit the number of octets */
export function parseCommand(octets: Buffer): CommandApdu | null {
  if (octets.length < 4) return null;
  const [cla = 0, ins = 0, p1 = 0, p2 = 0] = octets;
  const body = parseBody(octets.subarray(4));
  if (body === null) return null;
  return { cla: cla & ~CHAINING, ins, p1, p2, chained: (cla & CHAINING) !== 0, ...body };
}

type Body = { data: Buffer; expected: number };

/** The four cases: nothing, Le, Lc with data, Lc with data and Le. */
function parseBody(body: Buffer): Body | null {
  const first = body[0];
  if (first === undefined) return { data: body, expected: 0 };
  if (body.length === 1) return { data: body.subarray(1), expected: first === 0 ? 256 : first };
  return first === 0 ? parseExtended(body) : parseShort(body, first);
}

function parseShort(body: Buffer, length: number): Body | null {
  const data = body.subarray(1, 1 + length);
  if (body.length === 1 + length) return { data, expected: 0 };
  if (body.length !== 2 + length) return null;
  const le = body[1 + length] ?? 0;
  return { data, expected: le === 0 ? 256 : le };
}

function parseExtended(body: Buffer): Body | null {
  if (body.length < 3) return null;
  const number = body.readUInt16BE(1);
  if (body.length === 3) return { data: body.subarray(3), expected: number === 0 ? 65_536 : number };
  const data = body.subarray(3, 3 + number);
  if (body.length === 3 + number) return { data, expected: 0 };
  if (number === 0 || body.length !== 5 + number) return null;
  const le = body.readUInt16BE(3 + number);
  return { data, expected: le === 0 ? 65_536 : le };
}
