import type { MailId, SessionId } from '../ids.ts';

/**
 * Every line the gateway can log. A line is a declared event with ids; what may be printed is decided here, by type:
 * no subject, no body, no SASL data, no key material. Addresses are personal data and appear only where an
 * operator needs them to answer "what became of my mail".
 */
export type Event =
  | GatewayEvent
  | SubmissionEvent
  | ReadingEvent
  | KeyEvent
  | DirectoryEvent
  | PublishingEvent
  | RevocationEvent
  | QueueEvent
  | ClusterEvent
  | HoldingEvent;

type GatewayEvent =
  | { event: 'gateway.listening'; level: 'info'; listener: string; host: string; port: number }
  /** It was told to: what is under way is ended in order. */
  | { event: 'gateway.stopping'; level: 'info' }
  | { event: 'gateway.stopped'; level: 'info' }
  /** A connection that does not begin with the PROXY header which the listener asks for, or is not a load balancer's. */
  | { event: 'listener.proxy-refused'; level: 'warn'; listener: string; remote: string; reason: string }
  /** An address that has as many connections as one may have; said once until it has none. */
  | { event: 'listener.too-many-connections'; level: 'warn'; listener: string; remote: string }
  /** `place`: the path as the gateway knows it (`/held/:token`), null where there is none; what stands in it may be a secret. */
  | {
      event: 'http.answered';
      level: 'debug';
      listener: string;
      remote: string;
      method: string;
      place: string | null;
      status: number;
    }
  /** Somebody has asked for it on the page for that; there was mail of this address. */
  | { event: 'held.link-sent'; level: 'info'; address: string; mails: number }
  /** `reason`: it failed, or links are sent too often. */
  | { event: 'held.link-not-sent'; level: 'warn'; address: string; reason: string }
  | { event: 'gateway.defect'; level: 'error'; where: string; error: string };

type SubmissionEvent =
  | { event: 'smtp.connected'; level: 'debug'; session: SessionId; remote: string; listener: string }
  | { event: 'smtp.authenticated'; level: 'info'; session: SessionId; principal: string; mechanism: string }
  | {
      event: 'smtp.refused';
      level: 'info';
      session: SessionId;
      /** Address of the client; what a trusted proxy has told counts. */
      remote: string;
      listener: string;
      mail: MailId | null;
      code: number;
      reason: string;
    }
  /** A message could not be kept while it came in. */
  | { event: 'smtp.no-room'; level: 'error'; session: SessionId; reason: string }
  | { event: 'smtp.closed'; level: 'debug'; session: SessionId; cause: string }
  | { event: 'smtp.upstream-lost'; level: 'warn'; session: SessionId; upstream: string; reason: string }
  /** All octets of it are there. `to`: its recipients, as many as fit, here and in all that is said of some of them; in the trail alone, lines do not have it. */
  | {
      event: 'mail.taken';
      level: 'debug';
      mail: MailId;
      session: SessionId;
      listener: string;
      principal: string;
      from: string;
      to: string;
      recipients: number;
      octets: number;
    }
  | {
      event: 'mail.protected';
      level: 'info';
      mail: MailId;
      /** null: it passes by no rule, as a relay listener lets it. */
      rule: string | null;
      to?: string;
      recipients: number;
      signed: boolean;
      encrypted: boolean;
      /** At delivery: it is readable now, whatever it was; the two above are false then. */
      opened?: true;
      octets: number;
    }
  /** At delivery: what arrives is what was in it. `principal`: whose key it was; empty: it needed none. */
  | {
      event: 'mail.opened';
      level: 'info';
      mail: MailId;
      principal: string;
      encrypted: boolean;
      verdict: string;
    }
  /** One variant that the upstream has taken, and what it said. */
  | {
      event: 'mail.handed-over';
      level: 'info';
      mail: MailId;
      listener: string;
      to?: string;
      recipients: number;
      reply: string;
    }
  /** What became of so many lines about mails (`sealgate trace`) could not be written down; the mails went their way. */
  | { event: 'trail.unavailable'; level: 'error'; events: number; reason: string }
  | { event: 'mail.refused'; level: 'warn'; mail: MailId; code: string; reason: string }
  /** The rules of the configuration file are in force from now on; `restart`: other sections of it have changed, which count after a restart. */
  /** `restart`: sections of the configuration that have changed as well, and count at the next start; empty: none. */
  | { event: 'policy.reloaded'; level: 'info'; rules: number; restart: string }
  /** The file is wrong, and the rules stay as they were; one line for each problem, with line and column. */
  | { event: 'policy.reload-refused'; level: 'error'; problem: string }
  /** For `policy replay`; the mail went its way. */
  | { event: 'policy.decision-not-recorded'; level: 'warn'; mail: MailId; reason: string }
  /** Who has a mail that went to some could not be written down, or not be crossed out: a retry may bring a second copy, or none. */
  | { event: 'mail.delivery-not-noted'; level: 'error'; mail: MailId; reason: string };

type ReadingEvent =
  | { event: 'pop3.connected'; level: 'debug'; session: SessionId; remote: string; listener: string }
  | {
      event: 'pop3.authenticated';
      level: 'info';
      session: SessionId;
      principal: string;
      mechanism: string;
      /** There when mail as it is stored was asked for. */
      asStored?: true;
    }
  | { event: 'pop3.closed'; level: 'debug'; session: SessionId; cause: string }
  | {
      event: 'pop3.protocol-error';
      level: 'warn';
      session: SessionId;
      side: 'client' | 'upstream';
      reason: string;
    }
  | { event: 'imap.connected'; level: 'debug'; session: SessionId; remote: string; listener: string }
  | {
      event: 'imap.authenticated';
      level: 'info';
      session: SessionId;
      principal: string;
      mechanism: string;
      /** There when mail as it is stored was asked for. */
      asStored?: true;
    }
  | { event: 'imap.closed'; level: 'debug'; session: SessionId; cause: string }
  | {
      event: 'imap.protocol-error';
      level: 'warn';
      session: SessionId;
      side: 'client' | 'upstream';
      reason: string;
    }
  /** A message of a client that is encrypted to its own login; handed to the mail server, whose answer the client gets. */
  | { event: 'mail.stored-encrypted'; level: 'info'; session: SessionId; octets: number }
  /** Messages that a new key opens and that got new UIDs for that. */
  | { event: 'mail.renewed'; level: 'info'; session: SessionId; messages: number }
  /** Clients are told another UIDVALIDITY of a mailbox from now on, so that they fetch it anew. */
  | { event: 'mailbox.epoch-begun'; level: 'info'; session: SessionId; told: number }
  /** No larger UIDVALIDITY can be told: clients keep what they have. */
  | { event: 'mailbox.epoch-not-begun'; level: 'error'; session: SessionId; told: number }
  /** What clients are told of UIDVALIDITY cannot be looked up or written down. */
  | { event: 'mailbox.epochs-unavailable'; level: 'error'; session: SessionId; reason: string }
  /** It was to be encrypted, and could not be: the client was refused. */
  | { event: 'mail.not-stored'; level: 'warn'; session: SessionId; code: string }
  /** A view that was served once cannot be made again as it was; nothing is served. */
  | { event: 'view.differs'; level: 'error'; session: SessionId; message: string; reason: string }
  /** The file of what was shown is damaged; it was put aside, and a new one begun. */
  | { event: 'view.records-damaged'; level: 'error'; movedTo: string }
  /** What was shown is not known any more. `at-need`: clients fetch their mailboxes anew; else they may hold other forms of what they get. */
  | { event: 'view.records-lost'; level: 'error'; newEpoch: 'at-need' | 'by-command' }
  /** What was said before cannot be looked up or written down: no message is opened that was not opened in this session. */
  | { event: 'view.records-unavailable'; level: 'error'; session: SessionId; reason: string }
  /** What is kept of opened mail over sessions cannot be read or written: mail is opened by its keys. */
  | { event: 'view.store-unavailable'; level: 'warn'; reason: string }
  /** A mail that a key had opened in a former session, and that was kept: no key was used for it. `key`: the certificate of the one that was. */
  | { event: 'mail.reopened'; level: 'info'; session: SessionId; key: string; octets: number }
  | {
      event: 'mail.opened';
      level: 'info';
      session: SessionId;
      outcome: string;
      verdict: string;
      octets: number;
      overflow: boolean;
    };

type PublishingEvent =
  | { event: 'ldap.connected'; level: 'debug'; session: SessionId; remote: string; listener: string }
  | { event: 'ldap.closed'; level: 'debug'; session: SessionId; cause: string }
  /** A client that has been told of as many people as one may be in an hour. */
  | { event: 'ldap.asks-for-many'; level: 'warn'; session: SessionId; remote: string; listener: string };

type KeyEvent =
  | { event: 'key.process-started'; level: 'info'; module: string; token: string }
  | { event: 'key.process-ended'; level: 'warn'; module: string; token: string; reason: string }
  /** The token refused the PIN; it is not sent again by itself. */
  | { event: 'key.pin-refused'; level: 'error'; module: string; token: string; code: string }
  /** `source`: name of the key in the configuration. `reader`: where the token is. */
  | { event: 'key.token-inserted'; level: 'info'; source: string; token: string; reader: string }
  /** Its keys fail with a temporary failure until it is back. */
  | { event: 'key.token-removed'; level: 'warn'; source: string; token: string; reason: string }
  /** Somebody wants to use a key of the token, and a person is asked for the PIN. */
  | { event: 'key.pin-asked'; level: 'info'; source: string; token: string }
  /** Of several places of one key, one is not there at the start; the others serve. */
  | { event: 'key.place-absent'; level: 'warn'; source: string; place: string; reason: string }
  /** `keys`: how many keys it holds now. */
  | { event: 'key.reloaded'; level: 'info'; source: string; keys: number }
  /** The keys stay as they were. */
  | { event: 'key.reload-failed'; level: 'warn'; source: string; code: string; reason: string }
  /** The key's certificate is for none of the login's addresses: it will never sign for them. */
  | {
      event: 'key.address-mismatch';
      level: 'warn';
      principal: string;
      key: string;
      certificateAddresses: string;
      loginAddresses: string;
    }
  /** A login is given a key that no token or file has. */
  | { event: 'key.name-unknown'; level: 'warn'; principal: string; key: string }
  /** What a token holds could not be written down, or not be read: should it be out at the next start, its keys are unknown. */
  | { event: 'key.inventory-not-remembered'; level: 'warn'; source: string; reason: string }
  /** That a token has refused a PIN could not be written down, or not be looked up: such a PIN is not sent. */
  | { event: 'key.refusal-not-noted'; level: 'error'; source: string; reason: string }
  /** One use of one key, whatever came of it. */
  | {
      event: 'key.used';
      level: 'info';
      principal: string;
      key: string;
      /** SHA-256 of the certificate, hexadecimal. */
      certificate: string;
      operation: 'sign' | 'decrypt';
      /** The mail, or the session that reads one. */
      mail: string;
      outcome: 'done' | 'failed';
      /** Of the failure: `key.unavailable`, `key.rate-limited` …; null: done. */
      code: string | null;
    };

type DirectoryEvent =
  | { event: 'directory.harvested'; level: 'info'; address: string; fingerprint: string; trust: string }
  | { event: 'directory.harvest-failed'; level: 'warn'; address: string; reason: string }
  /** Signed mail that a client has stored could not be looked at, so nothing was learned from it. */
  | { event: 'directory.stored-mail-failed'; level: 'warn'; session: SessionId; code: string }
  /** A recipient's certificates could not be looked up: mail there is refused for now. */
  | { event: 'directory.lookup-failed'; level: 'warn'; reason: string }
  /** A remote source gave no answer. `reason` may have a server's own words. */
  | { event: 'directory.source-failed'; level: 'warn'; source: string; reason: string }
  /** It has failed so often that it is not asked for a while. */
  | { event: 'directory.source-away'; level: 'warn'; source: string; reason: string }
  | { event: 'directory.source-back'; level: 'info'; source: string }
  | { event: 'directory.change-pending'; level: 'warn'; address: string; fingerprint: string };

/** `place` is a URL of a certificate authority, shortened. */
type RevocationEvent =
  | { event: 'revocation.fetched'; level: 'debug'; place: string; kind: 'crl' | 'ocsp'; octets: number }
  /** Certificates whose evidence is there are `unchecked` until it answers; it is not asked before `again`. */
  | { event: 'revocation.fetch-failed'; level: 'warn'; place: string; reason: string; again: string }
  /** The cache file cannot be read or written: evidence is kept in memory only. */
  | { event: 'revocation.cache-failed'; level: 'warn'; reason: string };

/** What the gateway delivers by itself. `purpose`: why (queue/ports.ts); `delivery`: as `sealgate queue list` shows it. */
type QueueEvent =
  | {
      event: 'queue.enqueued';
      level: 'info';
      mail: MailId;
      delivery: string;
      purpose: string;
      to?: string;
      recipients: number;
      octets: number;
    }
  | {
      event: 'queue.delivered';
      level: 'info';
      mail: MailId;
      delivery: string;
      purpose: string;
      to?: string;
      recipients: number;
      reply: string;
      /** Who took it, and how the connection was protected, where DNS has named the server. */
      by?: string;
    }
  /** It stays in the queue, and is tried again. */
  | {
      event: 'queue.delayed';
      level: 'warn';
      mail: MailId;
      delivery: string;
      purpose: string;
      to?: string;
      recipients: number;
      reason: string;
      again: string;
    }
  /** For good; `reported`: its sender is told by mail. */
  | {
      event: 'queue.failed';
      level: 'error';
      mail: MailId;
      delivery: string;
      purpose: string;
      to?: string;
      recipients: number;
      reason: string;
      reported: boolean;
    }
  /** The mail did not leave, and its copy goes into the archive all the same. */
  | { event: 'archive.not-taken-back'; level: 'error'; mail: MailId; reason: string }
  /** Nobody is told what a rule decided; the mail has gone its way. */
  | { event: 'queue.notice-lost'; level: 'error'; mail: MailId; reason: string }
  /** A copy lies in an archive. `uid`: UIDVALIDITY and UID, or `-` where the server does not say. */
  | { event: 'archive.stored'; level: 'info'; mail: MailId; archive: string; uid: string }
  /** Files of mails that were never accepted: their client was refused, or the gateway crashed before its answer. */
  | { event: 'queue.swept'; level: 'info'; files: number }
  /** Files without rows: of a crash before an answer, and then nobody's; or of a database that was lost or is an older copy. */
  | { event: 'queue.orphans'; level: 'warn'; files: number }
  /**
   * Mail was accepted, and the configuration has no section `queue` any more, or has a section `cluster` now: nothing of it leaves or is reported
   * until that is as it was. `place`: the state folder, or PostgreSQL.
   */
  | { event: 'queue.left-behind'; level: 'error'; place: string; deliveries: number; waiting: number }
  /** Its database cannot be used; nothing is lost, and it is tried again. */
  | { event: 'queue.unavailable'; level: 'error'; reason: string }
  /** No more mail is taken for the queue: what is free is kept for what is in it already. */
  | { event: 'queue.full'; level: 'error'; reason: string }
  | { event: 'queue.has-room'; level: 'info' }
  /** Its holder was taken for dead, and somebody else has it: what became of it here is not written down. */
  | { event: 'queue.claim-lost'; level: 'warn'; mail: MailId; delivery: string }
  /** At the start a server of `place` (queue.server, or a route) could not be used. */
  | { event: 'queue.server-unusable'; level: 'warn'; place: string; reason: string }
  /** Nothing is sent to a destination for a while: it was found away. */
  | { event: 'queue.paused'; level: 'warn'; destination: string; reason: string; again: string }
  | { event: 'queue.resumed'; level: 'info'; destination: string }
  /** A mail of the gateway's own leaves without its signature. */
  | { event: 'queue.not-signed'; level: 'warn'; mail: MailId; code: string };

/** Several nodes that share the work. */
type ClusterEvent =
  /** `name`: of this node. */
  | { event: 'cluster.joined'; level: 'info'; name: string; nodes: number }
  /** A node that starts waits for PostgreSQL, for a minute. */
  | { event: 'cluster.database-away'; level: 'error'; reason: string }
  /** Deliveries go on, each by the node that has taken it, and late where another one has to. */
  | { event: 'cluster.redis-away'; level: 'error'; reason: string }
  | { event: 'cluster.redis-back'; level: 'info' }
  /** No mail is lost by it; deliveries are late where it was. `reason`: what has to be set. */
  | { event: 'cluster.redis-forgets'; level: 'error'; reason: string }
  /** Two machines have the same `cluster.node`, or one gateway has been started twice. */
  | { event: 'cluster.name-twice'; level: 'error'; name: string }
  /** The clock of this node and that of the database differ. The database's is gone by for what the nodes agree on. */
  | { event: 'cluster.clock'; level: 'warn'; seconds: number }
  /** A node seals mail to a key that this one does not have (queue.key, queue.formerKeys): it cannot deliver it. */
  | { event: 'cluster.key-missing'; level: 'error'; node: string }
  /** Another node judges or shows mail by other settings: `sections` of the configuration. To be heeded unless both are being changed just now. */
  | { event: 'cluster.config-differs'; level: 'error'; node: string; sections: string }
  /** A node of another version, as while they are updated one after the other. */
  | { event: 'cluster.version-differs'; level: 'warn'; node: string; version: string }
  /** Nothing was heard of this node for a while; the others finish what it had begun. */
  | { event: 'cluster.node-gone'; level: 'warn'; node: string };

/** Mail that waits for a certificate, or for its sender's word. */
type HoldingEvent =
  | { event: 'held.kept'; level: 'info'; mail: MailId; rule: string; recipients: number; until: string }
  /** `by`: the gateway itself, the sender's address, or who gave the command. */
  | {
      event: 'held.settled';
      level: 'info' | 'warn';
      mail: MailId;
      rule: string;
      recipients: number;
      state: 'leaving' | 'discarded' | 'expired';
      because: string;
      by: string;
    }
  /** Whether it may leave could not be found out; it is looked at again. */
  | { event: 'held.not-now'; level: 'warn'; mail: MailId; code: string; reason: string }
  /** An answer to a question that was not taken. */
  | { event: 'held.answer-refused'; level: 'warn'; mail: MailId; session: SessionId; reason: string }
  /** The database, or the place for the mails, cannot be used; nothing is lost, and it is tried again. */
  | { event: 'held.unavailable'; level: 'error'; reason: string };
