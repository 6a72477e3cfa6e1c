import type { MailId } from '../ids.ts';
import type { OctetSource } from '../octets/source.ts';
import type { OutboundDecision } from '../policy/decide-outbound.ts';
import type { TlsDemand } from '../policy/rules.ts';

/** Copies of what leaves, for archives: what the story out needs of whoever puts them there. */
export interface ArchiveCopies {
  /** Before anything leaves or is kept. @throws SealgateError `archive.*` where no copy of this login's mail could ever be stored */
  check(login: string, archives: readonly string[]): void;
  /**
   * Durable, all of them, when the promise resolves. Nothing is stored in an archive before `KeptCopies` is told what became of the mail;
   * where nobody can say that any more, after a crash, it is stored after a while: a copy too many rather than none.
   *
   * @throws SealgateError `queue.*` (temporary), and those of `check`; nothing is kept then
   */
  keep(copy: CopyToKeep): Promise<KeptCopies>;
}

export type CopyToKeep = {
  id: MailId;
  /** The sender's. */
  login: string;
  /** Names of archives; at least one. */
  archives: readonly string[];
  requireTls: TlsDemand;
  /** Not read after `keep` has resolved. */
  octets: OctetSource;
};

export type KeptCopies = {
  /** The mail has left, or may have. Never rejects. */
  left(): Promise<void>;
  /** It has not left, and will not. Never rejects. */
  takenBack(): Promise<void>;
};

/** Every archive that gets a copy of what this decision sends, now or when it has waited. */
export function archivesOf(decision: OutboundDecision): readonly string[] {
  switch (decision.kind) {
    case 'refuse':
      return [];
    case 'forward-unchanged':
      return decision.appendTo;
    case 'deliver': {
      const held = decision.held.flatMap(({ terms }) => terms.appendTo ?? []);
      return [...new Set([...decision.variants.flatMap(({ appendTo }) => appendTo), ...held])];
    }
  }
}

/** Of a mail that goes into no archive. */
export const NO_COPIES: KeptCopies = { left: async () => undefined, takenBack: async () => undefined };
