import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Event } from '../../../src/log/events.ts';
import { lockedSecrets } from '../../../src/pipeline/locked-secrets.ts';
import type { Keyring, OpenOutcome, OpenRequest, Principal, Standing } from '../../../src/pipeline/ports.ts';
import { KeyWatch } from '../../../src/reading/key-watch.ts';
import type { ReaderOptions, ReaderViews } from '../../../src/reading/reader-views.ts';
import { RecordedMailboxes } from '../../../src/reading/recorded-mailbox.ts';
import { StoredViews, type StoredViewsParts } from '../../../src/reading/stored/stored-views.ts';
import { openSqlite, type SqlStore } from '../../../src/store/sqlite.ts';
import { openStoredContents, STORED_VIEWS_FILE } from '../../../src/store/stored-contents.ts';
import { viewMigrations } from '../../../src/store/view-migrations.ts';
import { SqliteViewRecords } from '../../../src/store/view-records.ts';
import { type Identity, IdentityFolder, type KeyKind } from '../../cms/support/identities.ts';
import { decryptionKey } from '../../cms/support/software-keys.ts';
import { Card } from './card.ts';
import { AWAY, EventLog, openedAs, reader, SECRET, TEXT } from './readers.ts';

/** Keys and certificates, each made once. */
export class Identities {
  readonly #folder = new IdentityFolder();
  readonly #made = new Map<string, Identity>();

  of(name: string, kind: KeyKind): Identity {
    const made = this.#made.get(name) ?? this.#folder.issue(name, kind);
    this.#made.set(name, made);
    return made;
  }

  remove(): void {
    this.#folder.remove();
  }
}

/** A gateway's memory and disk as far as opened mail is kept, with cards for keys and without any protocol. */
export class KeptMail {
  readonly folder: string;
  readonly #identities: Identities;
  readonly log = new EventLog();
  /** Whose keys are which. */
  readonly cards = new Map<string, Card[]>();
  revoked = new Set<string>();
  /** What the one key that opens all mail finds. */
  text = TEXT;
  header: string | null = null;
  /** Mail that was opened by its key. */
  opened = 0;
  watch = new KeyWatch();
  views!: StoredViews;
  store!: SqlStore;
  recorded!: RecordedMailboxes;
  #records!: SqlStore;
  #readers: ReaderViews[] = [];

  private constructor(folder: string, identities: Identities) {
    this.folder = folder;
    this.#identities = identities;
  }

  static async begin(identities: Identities): Promise<KeptMail> {
    return new KeptMail(await mkdtemp(join(tmpdir(), 'sealgate-kept-')), identities);
  }

  async end(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true });
  }

  get file(): string {
    return join(this.folder, STORED_VIEWS_FILE);
  }

  /** A card in the reader, its PIN typed; of this login. */
  card(login: string, name: string, kind: KeyKind = 'P-256'): Card {
    const { privateKey, certificate } = this.#identities.of(name, kind);
    const card = new Card(decryptionKey(privateKey, certificate));
    this.cards.set(login, [...(this.cards.get(login) ?? []), card]);
    return card;
  }

  async start(changes: Partial<StoredViewsParts> = {}): Promise<void> {
    this.#records = await openSqlite(join(this.folder, 'views.sqlite'), viewMigrations);
    this.recorded = new RecordedMailboxes(new SqliteViewRecords(this.#records));
    const { contents, store } = await openStoredContents(this.file);
    this.store = store;
    this.watch = new KeyWatch();
    this.views = new StoredViews({
      ...{ contents, secret: SECRET, maxOctets: 64 * 1024 * 1024, logins: null, log: this.log },
      locks: lockedSecrets({
        keyring: this.#keyring(),
        clock: () => new Date(),
        standing: {
          of: async ({ fingerprint }): Promise<Standing> =>
            this.revoked.has(fingerprint) ? { kind: 'revoked', why: 'Stolen.' } : { kind: 'good' },
        },
      }),
      watch: this.watch,
      ...changes,
    });
  }

  async stop(): Promise<void> {
    for (const each of this.#readers) each.end();
    this.#readers = [];
    await this.views.close();
    await this.store.close();
    await this.#records.close();
  }

  async restart(changes: Partial<StoredViewsParts> = {}): Promise<void> {
    await this.stop();
    await this.start(changes);
  }

  /** A session of the login; its story opens mail with the login's first card. */
  session(
    login = 'bob@example.org',
    options: Partial<ReaderOptions> = {},
  ): ReaderViews & { events: EventLog } {
    const views = reader(
      { open: (request) => this.#open(request) },
      { login, recorded: this.recorded, stored: this.views, account: 'mail.example.org', ...options },
    );
    this.#readers.push(views);
    return views;
  }

  async #open({ principal, octets: _, patience }: OpenRequest): Promise<OpenOutcome> {
    const [card] = this.cards.get(principal.login) ?? [];
    if (card === undefined) throw new Error('nobody has this key');
    if (patience?.openKeysOnly === true && card.key.isOpen === false) return AWAY;
    try {
      await card.touch();
    } catch {
      return AWAY;
    }
    this.opened++;
    return { ...openedAs(this.text, 'trusted', this.header), keys: [card.key] } as OpenOutcome;
  }

  #keyring(): Keyring {
    return {
      decryptionKeys: async (principal: Principal) =>
        (this.cards.get(principal.login) ?? []).map(({ key }) => key),
      unseen: () => null,
    } as unknown as Keyring;
  }

  async count(table: 'stored_content' | 'stored_piece' | 'stored_words' | 'stored_place' | 'locked_key') {
    const [row] = await this.store.query({ sql: `SELECT count(*) AS n FROM ${table}`, parameters: [] });
    return Number(row?.n);
  }

  events(name: Event['event']): number {
    return this.log.events.filter(({ event }) => event === name).length;
  }
}
