import { SealgateError } from '../../errors.ts';
import type { Inventory } from '../inventory.ts';
import type { Failure, FromKeyProcess, ToKeyProcess } from '../messages.ts';
import { readSecret } from '../pin/secret.ts';
import type { SoftwareSource } from '../source-kinds.ts';
import type { ControlChannel } from './control-channel.ts';
import { endProcess } from './end-process.ts';
import type { SoftwareWork } from './session-messages.ts';
import type { SessionThreads, SessionThreadsEvents } from './session-threads.ts';
import { softwareInventory } from './software-inventory.ts';
import { openSoftwareSource, type SoftwareKeySource } from './software-source.ts';
import { UnlockByToken } from './unlock-by-token.ts';
import { watchKeyFiles } from './watch-key-files.ts';

/** Of one reading; a store may have thousands of files, and who says too much is taken for broken. */
const MOST_PROBLEMS = 20;

export type SoftwarePlaceParts = {
  channel: ControlChannel;
  threads: SessionThreads;
  /** Of `threads`: what happens to them is told here. */
  events: SessionThreadsEvents;
};

/** The story of one key file or key store in its key process: opened, and read again when it has changed. */
export class SoftwarePlace {
  readonly #channel: ControlChannel;
  readonly #threads: SessionThreads;
  readonly #unlock: UnlockByToken;
  #place: SoftwareSource | null = null;
  #source: SoftwareKeySource | null = null;
  /** Until it has been told: with the first session that serves. */
  #inventory: Inventory | null = null;
  /** One reading after another; a further one that is asked for meanwhile sees what has changed since. */
  #reading: Promise<void> = Promise.resolve();

  constructor({ channel, threads, events }: SoftwarePlaceParts) {
    this.#channel = channel;
    this.#threads = threads;
    this.#unlock = new UnlockByToken((message) => channel.send(this.#whileOpen(message)));
    events.serving = (count) => this.#serving(count);
    events.over = (failure) => channel.sendLast({ kind: 'lost', failure });
  }

  listen(): void {
    this.#channel.listen(
      (message) => this.#receive(message),
      () => void this.#close(),
    );
  }

  #receive(message: ToKeyProcess): void {
    switch (message.kind) {
      case 'open':
        if (this.#place !== null || message.place.kind === 'token') endProcess();
        else this.#begin(message.place);
        break;
      case 'permit':
        this.#unlock.permitted(message);
        break;
      case 'wanted':
        break;
      case 'grow':
        this.#threads.grow(message.sessions);
        break;
      case 'reload':
        this.#readAgain();
        break;
      case 'close':
        void this.#close();
        break;
    }
  }

  #begin(place: SoftwareSource): void {
    this.#place = place;
    watchKeyFiles(place, () => this.#readAgain());
    this.#readAgain();
  }

  #readAgain(): void {
    this.#reading = this.#reading.then(() => this.#read()).catch(endProcess);
  }

  async #read(): Promise<void> {
    const place = this.#place;
    if (place === null) return;
    try {
      if (this.#source === null) await this.#open(place);
      else await this.#reload(this.#source);
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      const failure = failureOf(error);
      if (this.#source !== null) this.#channel.send({ kind: 'reload-failed', failure });
      else if (isOfSecret(failure)) this.#channel.send({ kind: 'refused', failure, identity: null });
      else this.#channel.send({ kind: 'absent', failure });
    }
  }

  async #open(place: SoftwareSource): Promise<void> {
    const source = await openSoftwareSource(place, {
      readSecret,
      openTokenKey: (token, label) => this.#unlock.open(token, label),
    });
    this.#source = source;
    const { work, inventory } = workOf(source);
    this.#inventory = inventory;
    this.#threads.begin(work, work);
  }

  #serving(count: number): void {
    if (this.#inventory !== null) {
      this.#channel.send({ kind: 'opened', inventory: this.#inventory });
      if (this.#source !== null) this.#tellProblems(this.#source);
    }
    this.#inventory = null;
    if (count > 1) this.#channel.send({ kind: 'sessions', count });
  }

  async #reload(source: SoftwareKeySource): Promise<void> {
    await source.reload();
    const { work, inventory } = workOf(source);
    this.#threads.renew(work);
    if (this.#inventory !== null) {
      this.#inventory = inventory;
      return;
    }
    this.#channel.send({ kind: 'changed', inventory });
    this.#tellProblems(source);
  }

  /** A token that is away, or refuses, while a store is read again takes nothing from keys that are here already. */
  #whileOpen(message: FromKeyProcess): FromKeyProcess {
    if (this.#source === null || (message.kind !== 'absent' && message.kind !== 'refused')) return message;
    return { kind: 'reload-failed', failure: message.failure };
  }

  #tellProblems({ problems }: SoftwareKeySource): void {
    const told = problems.slice(0, MOST_PROBLEMS).map(failureOf);
    const [first] = told;
    const further = problems.length - told.length;
    if (first !== undefined && further > 0) {
      told.push({
        ...first,
        publicText: `${further} further files of the key store cannot be read either.`,
      });
    }
    for (const failure of told) this.#channel.send({ kind: 'file-problem', failure });
  }

  async #close(): Promise<void> {
    try {
      await this.#unlock.close();
    } finally {
      endProcess();
    }
  }
}

function workOf({ keys }: SoftwareKeySource) {
  const { inventory, threadKeys } = softwareInventory(keys);
  const work: SoftwareWork = { kind: 'software', keys: threadKeys };
  return { inventory, work };
}

/** The secret is there and does not open the file. */
function isOfSecret({ code }: Failure): boolean {
  return code === 'key.passphrase-incorrect' || code.startsWith('key.pin-');
}

function failureOf({ code, publicText, duration, reason }: SealgateError): Failure {
  const known = code.startsWith('key.') ? code : 'key.file-unreadable';
  return {
    code: known,
    publicText,
    duration,
    reason: (reason ?? code).slice(0, 1_000),
    sessionLost: false,
  };
}
