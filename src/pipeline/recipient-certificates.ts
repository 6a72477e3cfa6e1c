import type { SessionId } from '../ids.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import type { Recipient } from '../smtp/envelope.ts';
import type { CertificateDirectory, KnownCertificate, Origin } from './ports.ts';

/** What is known of one recipient when the decision falls. */
export type RecipientCertificates =
  /** Usable now, best first; never empty. */
  | { kind: 'usable'; certificates: readonly KnownCertificate[] }
  | { kind: 'none' }
  | { kind: 'lookup-failed' };

/** Sessions whose look-ups are kept; the oldest goes first. A session that is dropped looks up again at DATA. */
const SESSIONS_KEPT = 2_048;

/**
 * Looks certificates up from RCPT TO on, so that a slow directory costs no time after DATA.
 * A look-up belongs to one session: what is learned later is seen by the next mail.
 */
export class RecipientLookups {
  readonly #directory: CertificateDirectory;
  readonly #pending = new Map<SessionId, Map<string, Promise<readonly KnownCertificate[] | null>>>();

  constructor(directory: CertificateDirectory) {
    this.#directory = directory;
  }

  expect(origin: Origin, recipient: Recipient): void {
    let ofSession = this.#pending.get(origin.session);
    if (ofSession === undefined) {
      ofSession = new Map();
      this.#pending.set(origin.session, ofSession);
      const oldest = this.#pending.size > SESSIONS_KEPT ? this.#pending.keys().next().value : undefined;
      if (oldest !== undefined) this.#pending.delete(oldest);
    }
    const address = addressOf(recipient);
    if (!ofSession.has(address)) ofSession.set(address, this.#find(address));
  }

  /** Takes the session's look-ups; those that are missing are made now. In the order of `recipients`. */
  async settle(origin: Origin, recipients: readonly Recipient[], at: Date): Promise<RecipientCertificates[]> {
    const ofSession = this.#pending.get(origin.session);
    this.#pending.delete(origin.session);
    return Promise.all(
      recipients.map(async (recipient) => {
        const address = addressOf(recipient);
        return assess(await (ofSession?.get(address) ?? this.#find(address)), address, at);
      }),
    );
  }

  #find(address: string): Promise<readonly KnownCertificate[] | null> {
    return findOrNull(this.#directory, address);
  }
}

/** What is known of one address now. */
export async function assessRecipient(
  directory: CertificateDirectory,
  address: string,
  at: Date,
): Promise<RecipientCertificates> {
  return assess(await findOrNull(directory, address), address, at);
}

/** null where the directory could not be asked: different from knowing that there is none. */
async function findOrNull(
  directory: CertificateDirectory,
  address: string,
): Promise<readonly KnownCertificate[] | null> {
  try {
    return await directory.find(address);
  } catch {
    // Here only the fact decides (policy/decide-outbound).
    return null;
  }
}

function assess(found: readonly KnownCertificate[] | null, address: string, at: Date): RecipientCertificates {
  if (found === null) return { kind: 'lookup-failed' };
  const usable = found.filter(
    ({ certificate }) =>
      mayCertificateEncrypt(certificate, at).kind === 'may' && speaksFor(certificate, address),
  );
  return usable.length === 0 ? { kind: 'none' } : { kind: 'usable', certificates: usable };
}

export function addressOf({ mailbox }: Recipient): string {
  return `${mailbox.localPart}@${mailbox.domain}`;
}
