import type { HeaderProtection } from '../mail/header-protection.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import type { HeldContent, MailToHold } from '../pipeline/waiting.ts';
import { parseCertificate } from '../pki/certificate.ts';

/**
 * The octets of a mail that waits, as one file: a line of JSON that says how long each piece is, then the pieces. It is only ever read from
 * under the gateway's own seal.
 */

type Head = {
  version: 1;
  headerProtection: HeaderProtection | null;
  readsOaep: boolean | null;
  encryptable: number;
  readable: number | null;
  certificate: number | null;
};

export type StoredContent = HeldContent & { readable: Buffer | null };

type ContentToStore = Pick<MailToHold, 'encryptable' | 'headerProtection' | 'readable' | 'own'>;

export function writeContent({ encryptable, headerProtection, readable, own }: ContentToStore): OctetSource {
  const certificate = own?.certificate.der ?? null;
  const head: Head = {
    ...{ version: 1, headerProtection },
    readsOaep: own?.readsOaep ?? null,
    encryptable: encryptable.length,
    readable: readable?.length ?? null,
    certificate: certificate?.length ?? null,
  };
  return joinedSource([
    bufferSource(Buffer.from(`${JSON.stringify(head)}\n`)),
    encryptable,
    ...(readable === null ? [] : [readable]),
    ...(certificate === null ? [] : [bufferSource(certificate)]),
  ]);
}

/** null: it is not of this form. */
export function readContent(octets: Buffer): StoredContent | null {
  const end = octets.indexOf(0x0a);
  if (end < 0) return null;
  let at = end + 1;
  const piece = (length: number): Buffer => {
    at += length;
    return octets.subarray(at - length, at);
  };
  try {
    // What was sealed here was written here.
    const head = JSON.parse(octets.toString('utf8', 0, end)) as Head;
    const { headerProtection, readsOaep } = head;
    if (head.version !== 1) return null;
    const encryptable = piece(head.encryptable);
    const readable = head.readable === null ? null : piece(head.readable);
    const certificate = head.certificate === null ? null : piece(head.certificate);
    if (at !== octets.length) return null;
    const own =
      certificate === null
        ? null
        : { certificate: parseCertificate(certificate), readsOaep: readsOaep === true };
    return { encryptable, headerProtection, readable, own };
  } catch {
    return null;
  }
}
