import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { decryptRc2Cbc } from '../../src/cms/rc2.ts';
import { run } from '../hsm/support/authority.ts';

/** RFC 2268 §5: key, effective bits, plaintext, ciphertext of one block. */
const VECTORS: readonly [string, number, string, string][] = [
  ['0000000000000000', 63, '0000000000000000', 'ebb773f993278eff'],
  ['ffffffffffffffff', 64, 'ffffffffffffffff', '278b27e42e2f0d49'],
  ['3000000000000000', 64, '1000000000000001', '30649edf9be7d2c2'],
  ['88', 64, '0000000000000000', '61a8a244adacccf0'],
  ['88bca90e90875a', 64, '0000000000000000', '6ccf4308974c267f'],
  ['88bca90e90875a7f0f79c384627bafb2', 64, '0000000000000000', '1a807d272bbe5db1'],
  ['88bca90e90875a7f0f79c384627bafb2', 128, '0000000000000000', '2269552ab0f85ca6'],
  [
    '88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e',
    129,
    '0000000000000000',
    '5b78d3a43dfff1f1',
  ],
];

test.each(VECTORS)('RFC 2268 §5: key %s, %i effective bits', (key, bits, plain, cipher) => {
  const decrypted = decryptRc2Cbc(Buffer.from(key, 'hex'), bits, Buffer.alloc(8), Buffer.from(cipher, 'hex'));
  expect(decrypted.toString('hex')).toBe(plain);
});

test.each([
  ['rc2-cbc', 16, 128],
  ['rc2-40-cbc', 5, 40],
] as const)('reads what OpenSSL wrote with %s', (cipher, keyOctets, bits) => {
  const [key, iv, plain] = [randomBytes(keyOctets), randomBytes(8), randomBytes(64)];
  const encrypted = run(
    'openssl',
    [
      'enc',
      '-e',
      `-${cipher}`,
      '-provider',
      'legacy',
      '-provider',
      'default',
      '-nopad',
      '-K',
      key.toString('hex'),
      '-iv',
      iv.toString('hex'),
    ],
    { input: plain },
  );
  expect(decryptRc2Cbc(key, bits, iv, encrypted)).toEqual(plain);
});
