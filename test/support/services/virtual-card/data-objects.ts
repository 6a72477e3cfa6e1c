import { gzipSync } from 'node:zlib';
import { encodeTlv } from './tlv.ts';

/** What GET DATA tells of a PIV card (SP 800-73-4 part 1, tables 3 and 8 ff.), by the object's tag. */
export type DataObjects = ReadonlyMap<number, Buffer>;

/** SP 800-73-4 part 1 §2.2: the PIV application, version included. */
export const PIV_AID = Buffer.from('a000000308000010000100', 'hex');

/** Key references: 9A authentication, 9C signature, 9D key management, 9E card authentication, 82 to 95 retired. */
export type KeyReference = '9a' | '9c' | '9d' | '9e' | RetiredKeyReference;
export type RetiredKeyReference = '82' | '83' | '84' | '85';

/** Read only after the PIN: fingerprints, printed information, facial image, iris images. */
export const PIN_PROTECTED: ReadonlySet<number> = new Set([0x5fc103, 0x5fc109, 0x5fc108, 0x5fc121]);

const CARD_CAPABILITY_CONTAINER = 0x5fc107;
const CARD_HOLDER_UNIQUE_IDENTIFIER = 0x5fc102;
const DISCOVERY = 0x7e;
const KEY_HISTORY = 0x5fc10c;

const CERTIFICATE_OBJECTS: Record<KeyReference, number> = {
  '9a': 0x5fc105,
  '9c': 0x5fc10a,
  '9d': 0x5fc10b,
  '9e': 0x5fc101,
  '82': 0x5fc10d,
  '83': 0x5fc10e,
  '84': 0x5fc10f,
  '85': 0x5fc110,
};

export type CardContent = {
  /** 16 octets, the GUID: OpenSC makes the token's serial number of it. */
  guid: Buffer;
  /** DER. */
  certificates: ReadonlyMap<KeyReference, Buffer>;
  /** Certificates are stored as gzip, which CertInfo tells. */
  compressed: boolean;
};

export function dataObjects({ guid, certificates, compressed }: CardContent): DataObjects {
  const objects = new Map<number, Buffer>([
    [CARD_CAPABILITY_CONTAINER, content(...capabilities())],
    [CARD_HOLDER_UNIQUE_IDENTIFIER, content(...cardHolder(guid))],
    [DISCOVERY, discovery()],
  ]);
  for (const [reference, certificate] of certificates) {
    objects.set(CERTIFICATE_OBJECTS[reference], content(...certificateFields(certificate, compressed)));
  }
  const retired = [...certificates.keys()].filter((reference) => reference.startsWith('8')).length;
  if (retired > 0) objects.set(KEY_HISTORY, content(...keyHistory(retired)));
  return objects;
}

/** Every object but the discovery object comes in 53. */
function content(...fields: readonly Buffer[]): Buffer {
  return encodeTlv(0x53, ...fields);
}

/** FE, error detection code: always there, always empty. */
const END = encodeTlv(0xfe);

function certificateFields(der: Buffer, compressed: boolean): Buffer[] {
  const stored = compressed ? gzipSync(der) : der;
  return [encodeTlv(0x70, stored), encodeTlv(0x71, Buffer.of(compressed ? 1 : 0)), END];
}

function capabilities(): Buffer[] {
  const empty = [0xf3, 0xf4, 0xf6, 0xf7, 0xfa, 0xfb, 0xfc, 0xfd].map((tag) => encodeTlv(tag));
  return [
    encodeTlv(0xf0, Buffer.concat([Buffer.from('a000000116ff02', 'hex'), Buffer.alloc(14)])),
    encodeTlv(0xf1, Buffer.of(0x21)),
    encodeTlv(0xf2, Buffer.of(0x21)),
    encodeTlv(0xf5, Buffer.of(0x10)),
    ...empty,
    END,
  ];
}

/** The FASC-N of cards outside the federal government: nines, so that the GUID counts. */
const FASC_N = Buffer.from('d4e739da739ced39ce739d836858210842108421c84210c3eb', 'hex');

function cardHolder(guid: Buffer): Buffer[] {
  return [
    encodeTlv(0x30, FASC_N),
    encodeTlv(0x34, guid),
    encodeTlv(0x35, Buffer.from('20991231', 'latin1')),
    // Asymmetric signature of the issuer; nobody checks it here.
    encodeTlv(0x3e),
    END,
  ];
}

/** PIN usage policy 40 00: the PIV application's own PIN, no global one. */
function discovery(): Buffer {
  return encodeTlv(0x7e, encodeTlv(0x4f, PIV_AID), encodeTlv(0x5f2f, Buffer.of(0x40, 0x00)));
}

function keyHistory(onCard: number): Buffer[] {
  return [encodeTlv(0xc1, Buffer.of(onCard)), encodeTlv(0xc2, Buffer.of(0)), encodeTlv(0xf3), END];
}
