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
  {
    version: 4,
    // A certificate is kept once, whatever addresses it is for. What is searched by is filled in by src/directory (complete-rows.ts).
    statements: [
      `CREATE TABLE certificate (
         id INTEGER PRIMARY KEY,
         fingerprint TEXT NOT NULL UNIQUE,
         issuer BLOB NOT NULL,
         public_key TEXT NOT NULL,
         serial TEXT,
         subject_text TEXT,
         issuer_text TEXT,
         not_before INTEGER NOT NULL,
         not_after INTEGER NOT NULL,
         der BLOB NOT NULL
       ) STRICT`,
      `INSERT INTO certificate (fingerprint, issuer, public_key, not_before, not_after, der)
         SELECT fingerprint, issuer, public_key, not_before, not_after, der
         FROM known_certificate GROUP BY fingerprint ORDER BY min(rowid)`,
      `CREATE TABLE known_address (
         id INTEGER PRIMARY KEY,
         address TEXT NOT NULL,
         folded TEXT NOT NULL,
         domain TEXT NOT NULL,
         certificate INTEGER NOT NULL REFERENCES certificate (id),
         trust TEXT NOT NULL CHECK (trust IN ('harvested', 'directory', 'verified', 'pinned')),
         state TEXT NOT NULL CHECK (state IN ('current', 'pending', 'superseded')),
         source TEXT NOT NULL,
         capabilities TEXT NOT NULL,
         capabilities_at INTEGER NOT NULL,
         first_seen INTEGER NOT NULL,
         last_seen INTEGER NOT NULL,
         times_seen INTEGER NOT NULL,
         UNIQUE (address, certificate)
       ) STRICT`,
      `INSERT INTO known_address (address, folded, domain, certificate, trust, state, source, capabilities,
           capabilities_at, first_seen, last_seen, times_seen)
         SELECT k.address, lower(k.address), substr(k.address, length(rtrim(k.address, replace(k.address, '@', ''))) + 1),
           c.id, k.trust, CASE k.state WHEN 'distrusted' THEN 'superseded' ELSE k.state END, 'mail', k.capabilities,
           k.capabilities_at, k.first_seen, k.last_seen, k.times_seen
         FROM known_certificate k JOIN certificate c ON c.fingerprint = k.fingerprint ORDER BY k.rowid`,
      `CREATE TABLE certificate_journal (
         id INTEGER PRIMARY KEY,
         at INTEGER NOT NULL,
         by_whom TEXT NOT NULL,
         action TEXT NOT NULL CHECK (action IN ('trust', 'distrust', 'accept', 'pin', 'undo')),
         fingerprint TEXT NOT NULL,
         address TEXT,
         reason TEXT NOT NULL,
         previous TEXT NOT NULL,
         undoes INTEGER UNIQUE REFERENCES certificate_journal (id)
       ) STRICT`,
      `CREATE TABLE certificate_decision (
         fingerprint TEXT PRIMARY KEY,
         decision TEXT NOT NULL CHECK (decision IN ('trusted', 'distrusted')),
         journal INTEGER NOT NULL REFERENCES certificate_journal (id)
       ) STRICT, WITHOUT ROWID`,
      `INSERT INTO certificate_journal (at, by_whom, action, fingerprint, address, reason, previous)
         SELECT decided_at, '', decision, fingerprint, address, reason, '{}' FROM certificate_review ORDER BY id`,
      `INSERT INTO certificate_decision (fingerprint, decision, journal)
         SELECT fingerprint, 'distrusted', max(id) FROM certificate_journal WHERE action = 'distrust' GROUP BY fingerprint`,
      'DROP TABLE certificate_review',
      'DROP TABLE known_certificate',
      'CREATE INDEX certificate_by_serial ON certificate (serial)',
      'CREATE INDEX certificate_by_names ON certificate (subject_text, issuer_text)',
      'CREATE INDEX certificate_by_expiry ON certificate (not_after)',
      'CREATE INDEX known_address_folded ON known_address (folded)',
      'CREATE INDEX known_address_by_domain ON known_address (domain)',
      'CREATE INDEX known_address_by_certificate ON known_address (certificate)',
      "CREATE INDEX known_address_by_state ON known_address (state) WHERE state <> 'current'",
      'CREATE INDEX certificate_journal_by_certificate ON certificate_journal (fingerprint)',
      'CREATE INDEX certificate_decision_by_journal ON certificate_decision (journal)',
    ],
  },
  {
    version: 5,
    statements: [
      `CREATE TABLE remote_sighting (
         entry INTEGER NOT NULL REFERENCES known_address (id),
         source TEXT NOT NULL,
         first_seen INTEGER NOT NULL,
         last_seen INTEGER NOT NULL,
         PRIMARY KEY (entry, source)
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE remote_answer (
         address TEXT NOT NULL,
         source TEXT NOT NULL,
         found INTEGER NOT NULL,
         asked_at INTEGER NOT NULL,
         expires_at INTEGER NOT NULL,
         PRIMARY KEY (address, source)
       ) STRICT, WITHOUT ROWID`,
      'CREATE INDEX remote_answer_by_expiry ON remote_answer (expires_at)',
      // What this gateway alone has noticed: a source that it does not ask for a while.
      `CREATE TABLE remote_away (
         source TEXT PRIMARY KEY,
         since INTEGER NOT NULL,
         reason TEXT NOT NULL
       ) STRICT, WITHOUT ROWID`,
    ],
  },
  {
    version: 6,
    statements: ['CREATE INDEX certificate_decision_by_kind ON certificate_decision (decision)'],
  },
];
