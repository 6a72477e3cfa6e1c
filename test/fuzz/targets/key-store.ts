import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readKeyFile, writeKeyFile } from '../../../src/hsm/key-store/key-file.ts';
import { isAuthenticHeader, readHeader, writeHeader } from '../../../src/hsm/key-store/store-header.ts';
import { type FuzzTarget, holds } from '../target.ts';

const allowed = ['key.store-malformed'];
const created = '2025-01-31T12:00:00.000Z';

/** Files of a key store: only what was written is read. */
export const keyStoreTargets: readonly FuzzTarget[] = [
  {
    name: 'hsm-key-file',
    form: 'lines',
    allowed,
    prepare: () => {
      const master = randomBytes(32);
      const { privateKey } = generateKeyPairSync('ed25519');
      const file = { name: 'alice', created, certificates: [], privateKey };
      const seeds = [
        writeKeyFile(master, { ...file, exportable: true, use: 'sign' }),
        writeKeyFile(master, { ...file, exportable: false, use: 'sign-and-decrypt' }),
      ];
      return {
        seeds,
        run(input) {
          const { name, use, exportable } = readKeyFile(master, 'file', 'alice', input);
          holds(
            seeds.some((seed) => seed.equals(input)),
            'what opens is what was written',
          );
          return [name, use, exportable];
        },
      };
    },
  },
  {
    name: 'hsm-store-header',
    form: 'lines',
    allowed,
    prepare: () => {
      const master = randomBytes(32);
      const base64 = (octets: number): string => randomBytes(octets).toString('base64');
      const cost = { n: 2 ** 17, r: 8, p: 1 };
      const seeds = [
        writeHeader(master, created, { kind: 'scrypt', cost, salt: base64(32), wrapped: base64(48) }),
        writeHeader(master, created, { kind: 'sealed', certificate: base64(300), message: base64(400) }),
      ];
      return {
        seeds,
        run(input) {
          const header = readHeader('file', input);
          const authentic = isAuthenticHeader(master, header);
          holds(!authentic || seeds.some((seed) => seed.equals(input)), 'what is authentic was written');
          return [header.wrapping.kind, authentic];
        },
      };
    },
  },
];
