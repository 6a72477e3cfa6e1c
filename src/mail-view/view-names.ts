import { createHmac, hash } from 'node:crypto';

/**
 * The names an installation puts into its views. `installationId` is random for each installation, so that nobody
 * outside can write a status that looks like ours; it is no secret towards the users who read it.
 */
export type ViewNames = {
  /** Lower-case letters and digits. */
  readonly installationId: string;
  /** authserv-id of RFC 8601 §2.5. */
  readonly authservId: string;
  /** `X-Sealgate-<id>-Status`. */
  readonly statusField: string;
};

/** `hostname` is the gateway's own name. Throws RangeError for an id that is not 4 to 32 lower-case letters and digits. */
export function viewNames(installationId: string, hostname: string): ViewNames {
  if (!/^[a-z0-9]{4,32}$/.test(installationId)) {
    throw new RangeError('an installation id is 4 to 32 lower-case letters and digits');
  }
  const host = /^[A-Za-z0-9.-]{1,200}$/.test(hostname) ? hostname.toLowerCase() : 'localhost';
  return {
    installationId,
    authservId: `sealgate-${installationId}.${host}`,
    statusField: `X-Sealgate-${installationId}-Status`,
  };
}

/**
 * The boundary of the shell: a keyed hash, so that a sender cannot know it before delivery and close our part from
 * inside. `secret` is the installation's view secret; each login has boundaries of its own.
 *
 * @param message a name that never means another message of this login
 */
export function viewBoundary(secret: Buffer, login: string, message: string): string {
  return boundaryOf(boundarySecret(secret, login), message);
}

/** What all boundaries of one login are made with: the two keys of its HMAC, each padded to a block of SHA-256. */
export type BoundarySecret = { inner: Uint8Array; outer: Uint8Array };

/** Made once, for a listing of thousands. */
export function boundarySecret(secret: Buffer, login: string): BoundarySecret {
  const key = createHmac('sha256', secret).update(`view\0${login}`).digest();
  const padded = Buffer.concat([key, Buffer.alloc(BLOCK_OCTETS - key.length)]);
  return { inner: padded.map((octet) => octet ^ 0x36), outer: padded.map((octet) => octet ^ 0x5c) };
}

const BLOCK_OCTETS = 64;

/** As `viewBoundary`. Two digests at once cost less than an object for an HMAC, which leaves more behind. */
export function boundaryOf({ inner, outer }: BoundarySecret, message: string): string {
  const digest = hash('sha256', Buffer.concat([inner, Buffer.from(message)]), 'buffer');
  const mac = hash('sha256', Buffer.concat([outer, digest]), 'buffer');
  return `=_sealgate_${base32(mac).slice(0, 26)}`;
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

function base32(octets: Buffer): string {
  let bits = 0;
  let held = 0;
  let text = '';
  for (const octet of octets) {
    held = ((held << 8) | octet) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(held >> bits) & 31];
    }
  }
  return text;
}
