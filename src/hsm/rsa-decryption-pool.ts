import type { KeyObject } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { KeyTransportScheme } from '../cms/keys.ts';
import { decryptFailed, errorOf, unavailable } from './failures.ts';
import {
  type FromDecryptionThread,
  RSA_DECRYPTION_THREAD,
  type ToDecryptionThread,
} from './rsa-decryption-thread.ts';

type Job = {
  key: KeyObject;
  scheme: KeyTransportScheme;
  encryptedKey: Uint8Array;
  resolve(octets: Buffer): void;
  reject(error: Error): void;
};

type Thread = { worker: Worker; known: Set<number>; job: Job | null; id: number };

/** Threads for software RSA decryption, started on first use. They do not keep the process alive while idle. */
export class RsaDecryptionPool {
  readonly #most: number;
  readonly #threads: Thread[] = [];
  readonly #waiting: Job[] = [];
  readonly #numbers = new WeakMap<KeyObject, number>();
  #nextNumber = 0;
  #closed = false;

  /** @param most threads */
  constructor(most: number) {
    this.#most = most;
  }

  /** @throws SealgateError `key.decrypt-failed`, `key.unavailable` */
  decrypt(key: KeyObject, scheme: KeyTransportScheme, encryptedKey: Uint8Array): Promise<Buffer> {
    if (this.#closed) return Promise.reject(ended('closed'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, scheme, encryptedKey, resolve, reject });
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#waiting.splice(0)) job.reject(ended('closed'));
    await Promise.all(this.#threads.splice(0).map((thread) => thread.worker.terminate()));
  }

  #dispatch(): void {
    while (this.#waiting.length > 0) {
      const thread = this.#threads.find((each) => each.job === null) ?? this.#start();
      if (thread === null) return;
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.#give(thread, job);
    }
  }

  #give(thread: Thread, job: Job): void {
    const key = this.#numberOf(job.key);
    if (!thread.known.has(key)) {
      thread.known.add(key);
      post(thread, { kind: 'key', key, privateKey: job.key });
    }
    thread.job = job;
    thread.id++;
    thread.worker.ref();
    post(thread, {
      kind: 'decrypt',
      id: thread.id,
      key,
      scheme: job.scheme,
      encryptedKey: job.encryptedKey,
    });
  }

  #numberOf(key: KeyObject): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#nextNumber++;
    this.#numbers.set(key, number);
    return number;
  }

  /** null: all threads there may be are busy. */
  #start(): Thread | null {
    if (this.#threads.length >= this.#most) return null;
    const file = import.meta.url.replace(/rsa-decryption-pool(\.[jt]s)$/, 'rsa-decryption-thread$1');
    const worker = new Worker(new URL(file), { workerData: RSA_DECRYPTION_THREAD });
    const thread: Thread = { worker, known: new Set(), job: null, id: 0 };
    worker.unref();
    worker.on('message', (answer: FromDecryptionThread) => this.#answered(thread, answer));
    worker.on('error', (error) => this.#lost(thread, String(error)));
    worker.on('exit', () => this.#lost(thread, 'the thread ended'));
    this.#threads.push(thread);
    return thread;
  }

  #answered(thread: Thread, answer: FromDecryptionThread): void {
    const job = thread.job;
    if (job === null || answer.id !== thread.id) return;
    thread.job = null;
    thread.worker.unref();
    if (answer.octets === null) job.reject(errorOf(decryptFailed('RSA')));
    else job.resolve(Buffer.from(answer.octets));
    this.#dispatch();
  }

  #lost(thread: Thread, reason: string): void {
    const at = this.#threads.indexOf(thread);
    if (at >= 0) this.#threads.splice(at, 1);
    thread.job?.reject(ended(reason));
    thread.job = null;
    if (!this.#closed) this.#dispatch();
  }
}

function post(thread: Thread, message: ToDecryptionThread): void {
  thread.worker.postMessage(message);
}

function ended(reason: string): Error {
  return errorOf(
    unavailable('Decryption is not available at the moment; try again in a minute.', reason, false),
  );
}
