/** How long a client has to idle before anything is opened ahead, and after messages have come. Milliseconds. */
export const WARM_UP_AFTER_MS = 2_000;
/** Of one mailbox, each time that it is selected: octets of messages that are opened ahead, and of one of them. */
const ALL_OCTETS = 64 * 1024 * 1024;
export const MESSAGE_OCTETS = 4 * 1024 * 1024;

/** What one session opens ahead in the selected mailbox. */
export class WarmUp {
  /** Messages of one mailbox, each time that it is selected. */
  readonly #messages: number;
  readonly #tried = new Set<number>();
  #octets = 0;
  #isIn = false;
  #due = false;
  #wake: () => void = () => undefined;

  constructor(messages: number) {
    this.#messages = messages;
  }

  /** Another mailbox is being selected, or none. */
  selected(): void {
    this.#tried.clear();
    this.#octets = 0;
    this.#isIn = false;
  }

  /** It is selected, and its messages have lasting names. */
  entered(): void {
    this.#isIn = true;
    this.#due = true;
  }

  /** Messages have come. */
  grew(): void {
    this.#due = true;
    this.#wake();
  }

  /** There may be messages that nobody has looked at. */
  get isDue(): boolean {
    return this.#isIn && this.#due && this.left > 0;
  }

  /** Resolves when messages come. */
  whenGrown(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** From here on news of further messages count again. */
  looking(): void {
    this.#due = false;
  }

  /** It was not ended: whoever idles next goes on. */
  lookAgain(): void {
    this.#due = true;
  }

  get left(): number {
    return this.#octets >= ALL_OCTETS ? 0 : this.#messages - this.#tried.size;
  }

  isTried(uid: number): boolean {
    return this.#tried.has(uid);
  }

  /** Each message once. */
  trying(uid: number): void {
    this.#tried.add(uid);
  }

  /** Its key was away. */
  notTried(uid: number): void {
    this.#tried.delete(uid);
  }

  spent(octets: number): void {
    this.#octets += octets;
  }
}
