/**
 * The tables, as steps. A step that has been released never changes; what comes later is a new step at the end.
 * Times are milliseconds since 1970 (UTC).
 */
export type Migration = {
  /** 1, 2, 3 … without a gap. */
  version: number;
  statements: readonly string[];
};

export const migrations: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `CREATE TABLE known_certificate (
         address TEXT NOT NULL,
         fingerprint TEXT NOT NULL,
         der BLOB NOT NULL,
         issuer BLOB NOT NULL,
         public_key TEXT NOT NULL,
         not_before INTEGER NOT NULL,
         not_after INTEGER NOT NULL,
         trust TEXT NOT NULL CHECK (trust IN ('harvested', 'verified', 'pinned')),
         state TEXT NOT NULL CHECK (state IN ('current', 'pending', 'superseded', 'distrusted')),
         capabilities TEXT NOT NULL,
         capabilities_at INTEGER NOT NULL,
         first_seen INTEGER NOT NULL,
         last_seen INTEGER NOT NULL,
         times_seen INTEGER NOT NULL,
         PRIMARY KEY (address, fingerprint)
       ) STRICT`,
      `CREATE TABLE certificate_review (
         id INTEGER PRIMARY KEY,
         address TEXT NOT NULL,
         fingerprint TEXT NOT NULL,
         decision TEXT NOT NULL CHECK (decision IN ('accept', 'pin', 'distrust')),
         reason TEXT NOT NULL,
         decided_at INTEGER NOT NULL
       ) STRICT`,
      'CREATE INDEX certificate_review_by_certificate ON certificate_review (address, fingerprint)',
      `CREATE TABLE delivered_variant (
         key TEXT PRIMARY KEY,
         recorded_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
      'CREATE INDEX delivered_variant_by_age ON delivered_variant (recorded_at)',
    ],
  },
  {
    version: 2,
    statements: [
      `CREATE TABLE key_inventory (
         place TEXT PRIMARY KEY,
         inventory TEXT NOT NULL,
         seen_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE refused_secret (
         identity TEXT PRIMARY KEY,
         refused_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
    ],
  },
  {
    version: 3,
    statements: [
      `CREATE TABLE at_rest_mailbox (
         login TEXT NOT NULL,
         mailbox TEXT NOT NULL,
         PRIMARY KEY (login, mailbox)
       ) STRICT, WITHOUT ROWID`,
    ],
  },
];
