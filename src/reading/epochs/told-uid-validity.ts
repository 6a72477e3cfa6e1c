/**
 * The UIDVALIDITY that clients are told of a mailbox: the mail server's own, until an epoch is begun for it. From then on it is
 * another number, so that clients fetch the mailbox anew (RFC 9051 §2.3.1.1).
 */

/** What is known of a mailbox by the name under which clients have it. */
export type ToldMailbox = {
  /** `id <MAILBOXID>`, or `name <name>` where the mail server tells none. */
  key: string;
  /** The mail server's. */
  upstream: number;
  /** 0: none was ever begun for it. */
  epoch: number;
  /** What clients are told for these. */
  told: number;
  /** The largest number that clients were ever told under this name. */
  highest: number;
};

export type MailboxNow = {
  key: string;
  upstream: number;
  /** The newest epoch that was begun for it; 0: none. */
  due: number;
  /** The time, since 1970. */
  seconds: number;
};

export type ToldNow =
  | { kind: 'told'; row: ToldMailbox; changed: boolean }
  /** It is so large that nothing larger can be said (32 bits): what was said stays, and the epoch changes nothing. */
  | { kind: 'cannot-begin'; row: ToldMailbox }
  /** Nothing may be said: every number that is left may have been said of another mailbox or epoch. */
  | { kind: 'exhausted' };

/** nz-number (RFC 9051 §9). */
const LARGEST = 0xffff_ffff;

/**
 * Holds, once an epoch was begun for it: what is told under a name becomes larger with every change of mailbox, UIDVALIDITY or epoch, and
 * stays the same without one. Before that it is what the mail server says, whatever that is. A new number is no smaller than the time,
 * and so larger than those that were told and forgotten, as after a restore.
 *
 * @param named what is known by its name; null: nothing
 * @param moved what is known of the same mailbox by another name; null: nothing
 */
export function toldNow(named: ToldMailbox | null, moved: ToldMailbox | null, now: MailboxNow): ToldNow {
  const { key, upstream, due, seconds } = now;
  const epoch = Math.max(named?.epoch ?? 0, moved?.epoch ?? 0, due);
  let highest = Math.max(named?.highest ?? 0, moved?.highest ?? 0);
  const settled = (told: number): ToldNow => {
    const row = { key, upstream, epoch, told, highest: Math.max(highest, told) };
    return { kind: 'told', row, changed: named === null || !isSame(named, row) };
  };
  if (epoch === 0) return settled(upstream);
  const lasting = (each: ToldMailbox | null): number | null =>
    each !== null && isSameMailbox(each.key, key) && each.upstream === upstream && each.epoch >= due
      ? each.told
      : null;
  const here = lasting(named);
  if (here !== null) return settled(here);
  const elsewhere = lasting(moved);
  if (elsewhere !== null && elsewhere > (named?.highest ?? 0)) return settled(elsewhere);
  // Until its first epoch, what was told in answers about other mailboxes (STATUS, COPYUID) was not written down.
  if ((named?.epoch ?? 0) === 0) highest = Math.max(highest, upstream);
  const next = Math.max(upstream, highest + 1, seconds <= LARGEST ? seconds : 0);
  if (next <= LARGEST) return settled(next);
  const before = named ?? (moved === null ? { key, upstream, told: upstream, highest } : null);
  const onlyEpoch = before !== null && isSameMailbox(before.key, key) && before.upstream === upstream;
  return onlyEpoch ? { kind: 'cannot-begin', row: { ...before, key, epoch } } : { kind: 'exhausted' };
}

/** One that is known by its name may have an id. */
function isSameMailbox(one: string, other: string): boolean {
  return one === other || one.startsWith('name ') || other.startsWith('name ');
}

function isSame(one: ToldMailbox, other: ToldMailbox): boolean {
  return (
    one.key === other.key &&
    one.upstream === other.upstream &&
    one.epoch === other.epoch &&
    one.told === other.told &&
    one.highest === other.highest
  );
}
