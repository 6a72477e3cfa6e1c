import { hkdfSync } from 'node:crypto';
import type { Secret } from '../log/secret.ts';
import type { Installation } from '../store/installation.ts';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * What a single gateway makes by chance, from the secret that all nodes have (HKDF with SHA-256, RFC 5869 §2): each purpose has a key of its own,
 * and none of them tells the secret. `proof` shows that two nodes have the same.
 */
export function installationFromSecret(secret: Secret): Installation & { proof: string } {
  const id = [...derived(secret, 'installation id', 12)].map((octet) => ALPHABET[octet & 31]).join('');
  return {
    id,
    viewSecret: derived(secret, 'view secret', 32),
    proof: derived(secret, 'proof', 32).toString('hex'),
  };
}

function derived(secret: Secret, purpose: string, octets: number): Buffer {
  const info = `sealgate cluster 1: ${purpose}`;
  return Buffer.from(hkdfSync('sha256', Buffer.from(secret.reveal(), 'utf8'), '', info, octets));
}
