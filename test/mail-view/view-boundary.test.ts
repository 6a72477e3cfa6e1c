import { createHmac } from 'node:crypto';
import { expect, it } from 'vitest';
import { viewBoundary } from '../../src/mail-view/view-names.ts';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';

/** RFC 4648 §6, without padding, lower case. */
function base32(octets: Buffer): string {
  const bits = [...octets].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? []).map((five) => LETTERS[Number.parseInt(five, 2)]).join('');
}

it.each([0, 1, 12, 55, 64, 200])(
  'a boundary is an HMAC of the name of its message, %i octets: records hold views with it',
  (octets) => {
    const secret = Buffer.alloc(32, octets + 1);
    const message = 'é'.repeat(octets / 2) + 'x'.repeat(octets % 2);
    const key = createHmac('sha256', secret).update('view\0bob@example.org').digest();
    const mac = createHmac('sha256', key).update(message).digest();
    expect(viewBoundary(secret, 'bob@example.org', message)).toBe(`=_sealgate_${base32(mac).slice(0, 26)}`);
  },
);
