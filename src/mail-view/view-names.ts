import { createHmac } from 'node:crypto';

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

/** What all boundaries of one login are made with, so that a listing of thousands makes it once. */
export function boundarySecret(secret: Buffer, login: string): Buffer {
  return createHmac('sha256', secret).update(`view\0${login}`).digest();
}

/** As `viewBoundary`. */
export function boundaryOf(loginSecret: Buffer, message: string): string {
  const hash = createHmac('sha256', loginSecret).update(message).digest();
  return `=_sealgate_${base32(hash).slice(0, 26)}`;
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
