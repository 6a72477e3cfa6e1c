/** Keywords that tell what was found of messages, in the words of the configuration. */
export type KeywordSettings = { valid: string; warning: string };

/** What was found of a message when it was first shown. */
export type Finding = keyof KeywordSettings;

/** Messages of one mailbox; of further ones it is not told. */
const OWED = 10_000;

/** Keywords that one session has still to set in the selected mailbox, and whether it may. */
export class OwedKeywords {
  readonly settings: KeywordSettings;
  readonly #owed = new Map<number, Finding>();
  #writable = false;

  constructor(settings: KeywordSettings) {
    this.settings = settings;
  }

  /** Another mailbox, or none. `writable`: messages in it may be changed. */
  selected(writable: boolean): void {
    this.#owed.clear();
    this.#writable = writable;
  }

  /** The mail server has refused one: it will refuse the others. */
  refused(): void {
    this.selected(false);
  }

  get isEmpty(): boolean {
    return this.#owed.size === 0;
  }

  add(uid: number, finding: Finding): void {
    if (this.#owed.size < OWED) this.#owed.set(uid, finding);
  }

  /**
   * Those that are to be set now, and are not owed any more: a keyword is set once, or its owner could never take it off.
   *
   * @param permanentFlags as the mail server has said (RFC 9051 §7.1); null: it has not
   */
  take(permanentFlags: string | null): { keyword: string; uids: number[] }[] {
    if (this.isEmpty) return [];
    const taken = (['valid', 'warning'] as const).map((finding) => ({
      keyword: this.settings[finding],
      uids: [...this.#owed].filter(([, each]) => each === finding).map(([uid]) => uid),
    }));
    this.#owed.clear();
    return taken.filter(
      ({ keyword, uids }) => this.#writable && uids.length > 0 && mayBeSet(permanentFlags, keyword),
    );
  }
}

/** RFC 9051 §7.1, PERMANENTFLAGS: `\*` means that keywords may be made. A server that says nothing makes none for us. */
function mayBeSet(permanentFlags: string | null, keyword: string): boolean {
  const flags = (permanentFlags ?? '').toLowerCase().split(' ');
  return flags.includes('\\*') || flags.includes(keyword.toLowerCase());
}
