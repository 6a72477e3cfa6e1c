import { limits } from '../limits.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import type { HeldContent, MailToHold } from '../pipeline/waiting.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';

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

export type StoredContent = HeldContent & Pick<MailToHold, 'readable'>;

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

/** The line is shorter. */
const MOST_HEAD = 4_096;

/** The pieces, where they lie. null: it is not of this form. @throws the source's own */
export async function readContent(octets: OctetSource): Promise<StoredContent | null> {
  const beginning = await collectFrom(octets, 0, Math.min(octets.length, MOST_HEAD));
  const head = readHead(beginning);
  if (head === null) return null;
  let at = beginning.indexOf(LF) + 1;
  const piece = (length: number): OctetSource => {
    at += length;
    return sliceOf(octets, at - length, at);
  };
  const { headerProtection, readsOaep } = head;
  const lengths = [head.encryptable, head.readable ?? 0, head.certificate ?? 0];
  if (!lengths.every((length) => Number.isSafeInteger(length) && length >= 0)) return null;
  if (at + lengths.reduce((sum, length) => sum + length, 0) !== octets.length) return null;
  const encryptable = piece(head.encryptable);
  const readable = head.readable === null ? null : piece(head.readable);
  if (head.certificate === null) return { encryptable, headerProtection, readable, own: null };
  if (head.certificate > limits.pki.certificateOctets) return null;
  const certificate = certificateIn(await collectFrom(piece(head.certificate)));
  return certificate === null
    ? null
    : { encryptable, headerProtection, readable, own: { certificate, readsOaep: readsOaep === true } };
}

const LF = 0x0a;

function readHead(beginning: Buffer): Head | null {
  const end = beginning.indexOf(LF);
  if (end < 0) return null;
  try {
    // What was sealed here was written here.
    const head = JSON.parse(beginning.toString('utf8', 0, end)) as Head | null;
    return head?.version === 1 ? head : null;
  } catch {
    return null;
  }
}

function certificateIn(der: Buffer): Certificate | null {
  try {
    return parseCertificate(der);
  } catch {
    return null;
  }
}
