import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import pkcs11 from 'pkcs11js';

/**
 * A program of its own that prepares a token through PKCS#11 and ends: modules keep their configuration and their login for
 * the whole life of a process, and some of them keep others out meanwhile. Reads one JSON order from standard input, where a
 * PIN is nobody else's to see, and answers with JSON.
 */

export type TokenOrder = {
  module: string;
  /** As `initArgs` of a token's source. */
  initArgs?: string;
  tokenLabel: string;
  pin: string;
  steps: readonly TokenStep[];
};

export type TokenStep =
  /** C_InitToken on the first token without a label, and the user's PIN. */
  | { kind: 'initialise'; soPin: string }
  | { kind: 'generate'; type: TokenKeyType; id: string; label: string; attributes: KeyAttributes }
  | { kind: 'write-certificate'; id: string; label: string; der: string };

export type TokenKeyType = keyof typeof TYPES;

/** Of the private key; what is not named is false. The public key gets the counterparts. */
export type KeyAttributes = {
  sign?: boolean;
  decrypt?: boolean;
  unwrap?: boolean;
  derive?: boolean;
  alwaysAuthenticate?: boolean;
  /** CKA_ALLOWED_MECHANISMS. */
  allowed?: readonly number[];
};

/** DER of SubjectPublicKeyInfo, base64; null for steps that make no key. */
export type TokenAnswer = readonly (string | null)[];

const TYPES = {
  'rsa-2048': { mechanism: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, modulusBits: 2048 },
  'rsa-3072': { mechanism: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, modulusBits: 3072 },
  'p-256': { mechanism: pkcs11.CKM_EC_KEY_PAIR_GEN, curve: '06082a8648ce3d030107' },
  'p-384': { mechanism: pkcs11.CKM_EC_KEY_PAIR_GEN, curve: '06052b81040022' },
  'p-521': { mechanism: pkcs11.CKM_EC_KEY_PAIR_GEN, curve: '06052b81040023' },
  'brainpool-p256': { mechanism: pkcs11.CKM_EC_KEY_PAIR_GEN, curve: '06092b2403030208010107' },
  /** CKM_EC_EDWARDS_KEY_PAIR_GEN with PrintableString "edwards25519" or the object identifier. */
  ed25519: { mechanism: 0x1055, curve: '06032b6570', spki: '302a300506032b6570032100' },
  ed448: { mechanism: 0x1055, curve: '06032b6571', spki: '3043300506032b6571033a00' },
  x25519: { mechanism: 0x1055, curve: '06032b656e', spki: '302a300506032b656e032100' },
} as const;

const CKA_ALLOWED_MECHANISMS = 0x4000_0600;
const EC_PUBLIC_KEY = Buffer.from('06072a8648ce3d0201', 'hex');

function perform({ module: path, initArgs, tokenLabel, pin, steps }: TokenOrder): TokenAnswer {
  const module = new pkcs11.PKCS11();
  module.load(path);
  module.C_Initialize({
    flags: pkcs11.CKF_OS_LOCKING_OK,
    // pkcs11js leaves the last character out.
    ...(initArgs === undefined ? {} : { libraryParameters: `${initArgs} ` }),
  });
  let session: Buffer | null = null;
  const answer = steps.map((step): string | null => {
    if (step.kind === 'initialise') {
      initialise(module, step.soPin, tokenLabel, pin);
      return null;
    }
    session ??= loggedIn(module, tokenLabel, pin);
    if (step.kind === 'generate') return generate(module, session, step).toString('base64');
    module.C_CreateObject(session, [
      { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_CERTIFICATE },
      { type: pkcs11.CKA_CERTIFICATE_TYPE, value: pkcs11.CKC_X_509 },
      { type: pkcs11.CKA_TOKEN, value: true },
      { type: pkcs11.CKA_PRIVATE, value: false },
      { type: pkcs11.CKA_ID, value: Buffer.from(step.id, 'hex') },
      { type: pkcs11.CKA_LABEL, value: step.label },
      ...namesOf(Buffer.from(step.der, 'base64')),
      { type: pkcs11.CKA_VALUE, value: Buffer.from(step.der, 'base64') },
    ]);
    return null;
  });
  module.C_Finalize();
  return answer;
}

function initialise(module: pkcs11.PKCS11, soPin: string, label: string, pin: string): void {
  const slot = module
    .C_GetSlotList(true)
    .find((each) => (module.C_GetTokenInfo(each).flags & pkcs11.CKF_TOKEN_INITIALIZED) === 0);
  if (slot === undefined) throw new Error('no empty token');
  // CK_UTF8CHAR[32], filled with blanks.
  module.C_InitToken(slot, soPin, label.padEnd(32));
  const session = module.C_OpenSession(slotOf(module, label), RW_SESSION);
  module.C_Login(session, pkcs11.CKU_SO, soPin);
  module.C_InitPIN(session, pin);
  module.C_Logout(session);
  module.C_CloseSession(session);
}

const RW_SESSION = pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION;

function slotOf(module: pkcs11.PKCS11, label: string): Buffer {
  const slot = module
    .C_GetSlotList(true)
    .find((each) => module.C_GetTokenInfo(each).label.replace(/\0.*$/s, '').trimEnd() === label);
  if (slot === undefined) throw new Error(`no token ${label}`);
  return slot;
}

function loggedIn(module: pkcs11.PKCS11, label: string, pin: string): Buffer {
  const session = module.C_OpenSession(slotOf(module, label), RW_SESSION);
  module.C_Login(session, pkcs11.CKU_USER, pin);
  return session;
}

function generate(
  module: pkcs11.PKCS11,
  session: Buffer,
  { type, id, label, attributes }: Extract<TokenStep, { kind: 'generate' }>,
): Buffer {
  const { mechanism, ...shape } = TYPES[type];
  const names = [
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_ID, value: Buffer.from(id, 'hex') },
    { type: pkcs11.CKA_LABEL, value: label },
  ];
  const { sign = false, decrypt = false, unwrap = false, derive = false } = attributes;
  const rsa = 'modulusBits' in shape;
  const { publicKey } = module.C_GenerateKeyPair(
    session,
    { mechanism },
    [
      ...names,
      { type: pkcs11.CKA_PRIVATE, value: false },
      { type: pkcs11.CKA_VERIFY, value: sign },
      ...(rsa
        ? [
            { type: pkcs11.CKA_ENCRYPT, value: decrypt },
            { type: pkcs11.CKA_WRAP, value: unwrap },
            { type: pkcs11.CKA_MODULUS_BITS, value: shape.modulusBits },
            { type: pkcs11.CKA_PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
          ]
        : [{ type: pkcs11.CKA_EC_PARAMS, value: Buffer.from(shape.curve, 'hex') }]),
    ],
    [
      ...names,
      { type: pkcs11.CKA_PRIVATE, value: true },
      { type: pkcs11.CKA_SENSITIVE, value: true },
      { type: pkcs11.CKA_EXTRACTABLE, value: false },
      { type: pkcs11.CKA_SIGN, value: sign },
      ...(rsa
        ? [
            { type: pkcs11.CKA_DECRYPT, value: decrypt },
            { type: pkcs11.CKA_UNWRAP, value: unwrap },
          ]
        : [{ type: pkcs11.CKA_DERIVE, value: derive }]),
      ...(attributes.alwaysAuthenticate === true
        ? [{ type: pkcs11.CKA_ALWAYS_AUTHENTICATE, value: true }]
        : []),
      ...(attributes.allowed === undefined
        ? []
        : [{ type: CKA_ALLOWED_MECHANISMS, value: numbers(attributes.allowed) }]),
    ],
  );
  const read = (attribute: number): Buffer => {
    const value = module.C_GetAttributeValue(session, publicKey, [{ type: attribute }])[0]?.value;
    if (value === undefined) throw new Error(`no attribute ${attribute}`);
    return value;
  };
  if (rsa) {
    const key = {
      kty: 'RSA',
      n: read(pkcs11.CKA_MODULUS).toString('base64url'),
      e: read(pkcs11.CKA_PUBLIC_EXPONENT).toString('base64url'),
    };
    return createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'der' });
  }
  const wrapped = read(pkcs11.CKA_EC_POINT);
  const point = wrapped.subarray(wrapped[1] === 0x81 ? 3 : 2);
  if ('spki' in shape) return Buffer.concat([Buffer.from(shape.spki, 'hex'), point]);
  const algorithm = tlv(0x30, EC_PUBLIC_KEY, Buffer.from(shape.curve, 'hex'));
  return tlv(0x30, algorithm, tlv(3, Buffer.from([0]), point));
}

/** CKA_SUBJECT, CKA_ISSUER and CKA_SERIAL_NUMBER, which some tokens find certificates by. */
function namesOf(der: Buffer): pkcs11.Template {
  const tbs = childrenOf(childrenOf(der)[0] ?? Buffer.alloc(0));
  const [, serial, , issuer, , subject] = tbs;
  if (serial === undefined || issuer === undefined || subject === undefined)
    throw new Error('no certificate');
  return [
    { type: pkcs11.CKA_SUBJECT, value: subject },
    { type: pkcs11.CKA_ISSUER, value: issuer },
    { type: pkcs11.CKA_SERIAL_NUMBER, value: serial },
  ];
}

/** The elements inside one DER element. */
function childrenOf(element: Buffer): Buffer[] {
  const children: Buffer[] = [];
  for (let at = headOf(element); at < element.length; ) {
    const rest = element.subarray(at);
    const end = headOf(rest) + lengthOf(rest);
    children.push(rest.subarray(0, end));
    at += end;
  }
  return children;
}

function headOf(element: Buffer): number {
  const first = element[1] ?? 0;
  return first < 0x80 ? 2 : 2 + (first & 0x7f);
}

function lengthOf(element: Buffer): number {
  const first = element[1] ?? 0;
  return first < 0x80 ? first : element.readUIntBE(2, first & 0x7f);
}

function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

function numbers(values: readonly number[]): Buffer {
  const octets = Buffer.alloc(8 * values.length);
  for (const [i, value] of values.entries()) octets.writeUInt32LE(value, 8 * i);
  return octets;
}

if (process.argv[1] === import.meta.filename) {
  try {
    process.stdout.write(JSON.stringify(perform(JSON.parse(readFileSync(0, 'utf8')))));
  } catch (error) {
    // One line, which is what is shown of a program that failed.
    process.stderr.write(String(error));
    process.exitCode = 1;
  }
}
