import { afterAll, describe } from 'vitest';
import { certificateFor } from '../support/certificate.ts';
import { everyEnd } from './support/every-end.ts';

/**
 * The same where both sides of the gateway are secured, and cut off beneath TLS too, as by somebody who has no key. Two kinds each: all
 * four have the same TLS on either side, and each connection holds a port of the machine for a minute (TIME_WAIT).
 */

const material = certificateFor('localhost');
afterAll(() => material.remove());

describe('TLS from the first octet', () => {
  everyEnd(['submission', 'lmtp'], { tls: 'implicit', material });
});

describe('STARTTLS', () => {
  everyEnd(['submission', 'relay'], { tls: 'starttls', material });
});
