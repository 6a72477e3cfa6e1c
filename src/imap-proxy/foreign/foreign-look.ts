import type { ForeignJudge, Principal } from '../../pipeline/ports.ts';

/** When one session asks of encrypted messages for whom they are, and who judges that. */
export class ForeignLook {
  readonly judge: ForeignJudge;
  readonly principal: Principal;
  #due = false;
  #hasGrown = false;

  constructor(judge: ForeignJudge, principal: Principal) {
    this.judge = judge;
    this.principal = principal;
  }

  /** Another mailbox, or none. */
  selected(): void {
    this.#due = true;
    this.#hasGrown = false;
  }

  /** Messages have come, or a look could not be ended. */
  lookAgain(): void {
    this.#due = true;
    this.#hasGrown = true;
  }

  /** Whether there may be more than SELECT has told. */
  get hasGrown(): boolean {
    return this.#hasGrown;
  }

  get mustLook(): boolean {
    return this.#due;
  }

  /** From here on news of further messages count again. */
  looking(): void {
    this.#due = false;
    this.#hasGrown = false;
  }
}
