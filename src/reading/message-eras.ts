import type { ViewKind } from '../mail-view/message-class.ts';
import { type ForeignMessages, readForeign, writeForeign } from './foreign-messages.ts';

/**
 * What encrypted messages of one mailbox are, by UID: from `from` on, until the next one. A message keeps what it was when its
 * reader could first see it, whatever keys come or go later; what arrives afterwards follows the keys there are.
 */
export type Era = { from: number; kind: ViewKind };

/** More changes than any person makes. */
const ERAS = 64;

export function eraOf(eras: readonly Era[], uid: number): ViewKind | null {
  return eras.findLast(({ from }) => from <= uid)?.kind ?? null;
}

/** The eras from now on; the same list where nothing has changed. `uidNext` null: nobody knows, so it is noticed later. */
export function erasWith(eras: readonly Era[], kind: ViewKind, uidNext: number | null): readonly Era[] {
  const last = eras.at(-1);
  if (last === undefined) return [{ from: 1, kind }];
  if (last.kind === kind || uidNext === null || eras.length >= ERAS) return eras;
  // Nothing has arrived since the last change.
  if (uidNext <= last.from) return merged([...eras.slice(0, -1), { from: last.from, kind }]);
  return [...eras, { from: uidNext, kind }];
}

/** At first sight: the messages before `from` stay as they are stored. */
export function backlogEras(from: number): readonly Era[] {
  return from <= 1
    ? [{ from: 1, kind: 'shell' }]
    : [
        { from: 1, kind: 'identity' },
        { from, kind: 'shell' },
      ];
}

function merged(eras: readonly Era[]): readonly Era[] {
  return eras.filter(({ kind }, at) => at === 0 || kind !== eras[at - 1]?.kind);
}

export function writeEras(eras: readonly Era[]): string {
  return eras.map(({ from, kind }) => `${from} ${kind}`).join(',');
}

/** Empty for what is not in the grammar of `writeEras`. */
export function readEras(text: string): readonly Era[] {
  if (!/^(?:[0-9]{1,10} (?:shell|overlay|identity)(?:,|$))+$/.test(text)) return [];
  return text.split(',').map((each) => {
    const [from = '1', kind] = each.split(' ');
    return { from: Number(from), kind: kind === 'shell' || kind === 'overlay' ? kind : 'identity' };
  });
}

/** Encrypted mail and clear-signed mail change apart. */
export type MailboxEras = {
  encrypted: readonly Era[];
  clearSigned: readonly Era[];
  /** null: nobody ever asked for whom a message is before it was listed. */
  foreign: ForeignMessages | null;
};

export function writeMailboxEras({ encrypted, clearSigned, foreign }: MailboxEras): string {
  const parts = [writeEras(encrypted), writeEras(clearSigned), foreign === null ? '' : writeForeign(foreign)];
  return parts.join(';').replace(/;+$/, '');
}

export function readMailboxEras(text: string): MailboxEras {
  const [encrypted = '', clearSigned = '', foreign = ''] = text.split(';');
  return {
    encrypted: readEras(encrypted),
    clearSigned: readEras(clearSigned),
    foreign: readForeign(foreign),
  };
}

/** Where nothing was ever said of clear-signed mail, it was shown as stored, if anybody saw the mailbox. */
export function clearSignedEras(
  { encrypted, clearSigned }: Pick<MailboxEras, 'encrypted' | 'clearSigned'>,
  kind: 'overlay' | 'identity',
  uidNext: number | null,
): readonly Era[] {
  if (clearSigned.length > 0) return erasWith(clearSigned, kind, uidNext);
  if (kind === 'identity') return clearSigned;
  return encrypted.length === 0
    ? [{ from: 1, kind }]
    : erasWith([{ from: 1, kind: 'identity' }], kind, uidNext);
}
