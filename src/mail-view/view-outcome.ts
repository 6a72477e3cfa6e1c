import type { OctetSource } from '../octets/source.ts';
import type { SecurityReport, SignatureReport } from '../smime/report.ts';

/** What opening a stored message led to, as far as it is shown. The inbound story's outcome has this shape. */
export type ViewOutcome =
  | {
      kind: 'opened';
      /** It stays as long as the view does. */
      entity: OctetSource;
      /** Protected header fields, lines, to be shown in the place of those outside; absent or null: none. */
      header?: Buffer | null;
      report: SecurityReport;
      verdict: ViewVerdict;
    }
  /** No key of the reader fits. */
  | { kind: 'no-key'; report: SecurityReport }
  /** Broken or tampered; nothing tells one reason from another (RFC 3218). */
  | { kind: 'failed'; report: SecurityReport }
  /** Opened, and not shown: nobody would notice if it had been changed, and the configuration wants that of all mail. */
  | { kind: 'refused'; report: SecurityReport }
  /** Looked like S/MIME in a listing and is not: shown whole, as an attachment. */
  | { kind: 'as-is'; report: SecurityReport | null; verdict?: ViewVerdict };

export type ViewVerdict =
  | { kind: 'trusted' }
  | { kind: 'untrusted'; why: string }
  | { kind: 'broken'; why: string }
  | { kind: 'unsigned' };

export function signaturesOf(report: SecurityReport | null): readonly SignatureReport[] {
  return (report?.layers ?? []).flatMap((layer) => (layer.kind === 'signed' ? layer.signatures : []));
}

/** Whether somebody could have changed the ciphertext unnoticed (EFAIL): no AEAD cipher in any encrypted layer. */
export function isMalleable(report: SecurityReport): boolean {
  const encrypted = report.layers.filter((layer) => layer.kind === 'encrypted');
  return encrypted.length > 0 && !encrypted.some((layer) => layer.authenticated);
}
