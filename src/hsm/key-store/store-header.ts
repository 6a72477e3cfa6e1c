import { z } from 'zod';
import { type Wrapping, wrapping } from './master-key.ts';
import { authenticate, isAuthentic } from './sealing.ts';
import { base64, instant, readStrict, writeStrict } from './strict-json.ts';

/** `store.json`: how the master key is wrapped. All of it is authenticated with the master key. */

export const HEADER_FILE = 'store.json';
const HEADER = 'sealgate key store 1 header';

const header = z.strictObject({
  format: z.literal('sealgate-key-store'),
  version: z.literal(1),
  created: instant,
  wrapping,
  mac: base64,
});

export type StoreHeader = z.infer<typeof header>;

export function writeHeader(master: Buffer, created: string, wrapped: Wrapping): Buffer {
  const clear = { format: 'sealgate-key-store', version: 1, created, wrapping: wrapped } as const;
  const mac = authenticate(master, HEADER, JSON.stringify(clear)).toString('base64');
  return writeStrict({ ...clear, mac } satisfies StoreHeader);
}

/** Nothing in it is believed until it is seen to be authentic. @throws SealgateError `key.store-malformed` */
export function readHeader(file: string, octets: Buffer): StoreHeader {
  return readStrict(file, octets, header);
}

export function isAuthenticHeader(master: Buffer, { mac, ...clear }: StoreHeader): boolean {
  return isAuthentic(master, HEADER, JSON.stringify(clear), Buffer.from(mac, 'base64'));
}
