import { cryptographyLimits } from './limits/cryptography.ts';

/**
 * Every bound on what a stranger may make us hold or do, in one place. Units are in the names or the comment.
 * A parser that meets a bound refuses; it never truncates.
 */
export const limits = {
  ...cryptographyLimits,
  spool: {
    /** What is not longer waits in memory. */
    memoryOctets: 256 * 1024,
    /** Files open at the same time, in the whole process; file descriptors are also for connections. */
    files: 1_000,
  },
  mail: {
    headerOctets: 256 * 1024,
    /** Of a header, that are looked through for what the message is. */
    classifiedOctets: 4 * 1024 * 1024,
    /** Headers of all parts together, those of messages inside among them. */
    treeHeaderOctets: 4 * 1024 * 1024,
    /** Their fields, of which each takes some 100 octets of memory: more than one header can have. */
    treeFields: 240_000,
    /** Copies of fields that are protected with a message (RFC 9788), and records of them. */
    protectedFields: 1_000,
    /** Nesting of multiparts. */
    depth: 100,
    entities: 10_000,
    /** A line of dashes and a boundary, with the blanks after it. */
    boundaryLineOctets: 4_096,
    /** Blanks in a row, in text that is decoded or encoded line by line. */
    blankRunOctets: 64 * 1024,
    /** A text that is looked through for Legacy Display Elements (RFC 9788 §4.5.3), encoded. */
    legacyDisplayOctets: 1024 * 1024,
  },
  smtp: {
    /** RFC 5321 §4.5.3.1.4 asks for 512 octets; AUTH with a bearer token needs far more. */
    commandLineOctets: 65_536,
    /** Every other command: 512 and what SIZE, BODY, AUTH, SMTPUTF8 and DSN add (RFC 5321 §4.1.1.11). */
    mailCommandOctets: 2_048,
    /** Relayed commands of one client whose replies are still to come. */
    commandsInFlight: 256,
    replyLineOctets: 4_096,
    replyLines: 128,
    recipients: 1_000,
    /** Errors after which a session ends. */
    errorsPerSession: 20,
    /** Failed logins after which a session ends; the upstream sees them all from one address. */
    authFailuresPerSession: 5,
    /** One message that clients send. Listeners may configure less. */
    messageOctets: 1024 * 1024 * 1024,
    /** What is not longer is in memory as it comes; what is longer goes into a spool. */
    memoryOctets: 256 * 1024,
    /** How long the upstream hears nothing while a client sends a message: less than what any server has time for. */
    upstreamQuietMs: 60_000,
    /** Logins, and addresses and networks, of one listener whose messages are counted. */
    countedSenders: 20_000,
    /** Octets of a client that are read ahead while a command is being worked on, and of replies that it does not take. */
    readAheadOctets: 131_072,
    /** RFC 5321 §4.5.3.2: five minutes for a command. */
    commandTimeoutMs: 300_000,
    beforeAuthTimeoutMs: 60_000,
    /** What the upstream has time for (RFC 5321 §4.5.3.2): connect with TLS; greeting and commands; DATA; a block; the end of data. */
    upstreamConnectTimeoutMs: 30_000,
    upstreamCommandTimeoutMs: 300_000,
    upstreamDataTimeoutMs: 120_000,
    upstreamBlockTimeoutMs: 180_000,
    upstreamEndOfDataTimeoutMs: 600_000,
    /** To one mail server: connections that wait for their next mail, how long they do, and after what they are ended. */
    idleConnections: 20,
    idleMs: 5_000,
    mailsOfConnection: 50,
    connectionAgeMs: 300_000,
    /** The answer of a token endpoint, and how long it may take. */
    tokenOctets: 65_536,
    tokenTimeoutMs: 15_000,
    /** What a session that has to end gets for the mail it is handing over, and for its last words. */
    closeTimeoutMs: 15_000,
    /** And then, for saying what has become of it. */
    lastWordsTimeoutMs: 5_000,
  },
  /** Mail that comes from other servers, without a login. */
  relay: {
    /** Received fields of a mail that goes in circles (RFC 5321 §6.3: at least 100), and those of one listener of ours. */
    received: 100,
    ownReceived: 3,
    /** How long the keys of its recipients are waited for, of all of them together: the client waits for the answer meanwhile. */
    keyPatienceMs: 20_000,
    /** Opened copies of one mail that differ from each other, kept at once; whoever is left is served when it is sent again. */
    openedOctets: 2 * 1024 * 1024 * 1024,
  },
  imap: {
    clientLineOctets: 65_536,
    commandOctets: 262_144,
    /** One SEARCH line for 100,000 hits is 589 KB. */
    upstreamLineOctets: 16 * 1024 * 1024,
    /** Octets that the compressed connection of a client may always give; beyond that only so many times what arrived. */
    inflatedOctets: 64 * 1024 * 1024,
    inflation: 250,
    beforeAuthTimeoutMs: 60_000,
    upstreamConnectTimeoutMs: 15_000,
    /** Of a continuation request that the mail server owes. */
    continuationMs: 120_000,
    /** Parentheses, NOT and OR in each other, and keys, of a search that is looked into; a larger one is the mail server's alone. */
    searchDepth: 50,
    searchKeys: 1_000,
    /** Messages that one search may find where its result is put together here. */
    searchResults: 500_000,
    /** A line of the gateway's own, besides what the client wrote: some servers take no longer ones. */
    searchLineOctets: 8_000,
  },
  /** What clients were told of the UIDVALIDITY of their mailboxes, kept for good. */
  epochs: {
    /** Of one login without an epoch; a client can make any. */
    mailboxesOfLogin: 10_000,
    nameCharacters: 1_000,
    /** An untagged STATUS response. */
    statusOctets: 64 * 1024,
  },
  /** Mail that clients store and that is encrypted before it goes to the mail server. */
  atRest: {
    /** The header is kept beside the encrypted message too, so that it can be listed without a key. */
    headerOctets: 64 * 1024,
    /** Of one mailbox, in one session; further ones are shown as other encrypted mail is. */
    messages: 20_000,
    /** Of their markers together: one may hold a whole header. */
    markOctets: 32 * 1024 * 1024,
    /** RFC 9051 §5.4 gives a silent client thirty minutes; one that is in the middle of a message has begun to send it. */
    silenceMs: 300_000,
    /** Rules of the configuration, and mailboxes whose special use one session remembers. */
    mailboxes: 1_000,
    /** Mailboxes of one login in which such mail is known to lie, and characters of a name: a client can make up any. */
    mailboxesOfLogin: 10_000,
    nameCharacters: 1_000,
  },
  /** Signed mail that clients store, from which correspondents' certificates are learned. Beyond these nothing is learned. */
  storedSigned: {
    /** Of a header, in which is looked for what the message is, and of a message. */
    headerOctets: 64 * 1024,
    messageOctets: 4 * 1024 * 1024,
    /** Messages that are in memory until they were verified, and their octets: of all logins together and of each. */
    messages: { all: 200, each: 50 },
    octets: { all: 32 * 1024 * 1024, each: 8 * 1024 * 1024 },
    /** That are verified at a time. */
    atOnce: 2,
  },
  /** Mail on its way out. */
  outbound: {
    /** Messages that are not longer are signed and encrypted in memory; longer ones where they lie. */
    memoryOctets: 512 * 1024,
  },
  view: {
    /** Messages and views that are not longer are opened, and kept, in memory; longer ones in spools. */
    memoryOctets: 256 * 1024,
    /** Views that one session keeps for clients that fetch a message in pieces, and how long without being asked for one. */
    cachedViews: 4,
    cachedMs: 120_000,
    /** Of those, in spools and in the whole process. */
    spooledViews: 200,
    spooledOctets: 4 * 1024 * 1024 * 1024,
    /**
     * Messages that are gathered and opened at a time, of all logins together and of each; and those whose PIN somebody types,
     * which lie in spools meanwhile.
     */
    openings: { opening: { all: 16, each: 4 }, waiting: { all: 200, each: 8 } },
    /** Octets of the body of an encrypted message in which its recipients are looked for before it is listed. */
    peekedOctets: 8_192,
  },
  /** What was opened and is kept over sessions, where the configuration wants that. */
  storedViews: {
    /** Of one login at one mail server, besides its quota of octets. */
    messages: 100_000,
    /** That are being written, in the whole process; what is opened meanwhile is not kept. */
    writing: 32,
    /** How long one of them may take, its key included. */
    writingMs: 60_000,
    /** Messages whose words a search takes out of the store at a time. */
    scannedAtOnce: 100,
    /** Messages of one mailbox whose words a search looks into, besides those that its session has opened; the newest. */
    scanned: 50_000,
    /** Of those, how many are listed at a time. */
    listedAtOnce: 5_000,
  },
  /** Words of decrypted mail, for SEARCH. */
  searchText: {
    /** Octets of a view, from its beginning, in which words are looked for. */
    viewOctets: 1024 * 1024,
    /** Characters of text kept of one message. */
    characters: 256 * 1024,
    /** Of all messages that one session has opened. */
    sessionCharacters: 4 * 1024 * 1024,
    sessionMessages: 2_000,
    /** Of all sessions; a character takes one octet of memory or two. */
    allCharacters: 128 * 1024 * 1024,
  },
  /** Decisions about outgoing mail that are kept for a replay: mails, and characters of one. */
  policy: { recordedMails: 100_000, recordCharacters: 512 * 1024 },
  connections: {
    /** A PROXY header of version 2 with its TLVs: the largest of them are certificates' names and tokens of a cloud. */
    proxyHeaderOctets: 4_096,
    /** From connecting to the end of the PROXY header. */
    proxyHeaderTimeoutMs: 10_000,
    /** TLS handshakes of one listener that go on at a time, in all and of one address; each has so much time, waiting not counted. */
    handshakes: 100,
    handshakesOfAddress: 20,
    handshakeTimeoutMs: 15_000,
    /** Failed logins of one address, all different, before further ones are made to wait; and how far apart they come to be. */
    freeFailures: 10,
    loginsApartMs: 15_000,
    /** An attempt that would have to wait for longer is refused. */
    loginWaitMs: 20_000,
    failuresForgottenMs: 15 * 60_000,
    /** Addresses of which failures are known, and digests for each. */
    failedAddresses: 20_000,
    failuresKept: 64,
    /** Logins that were accepted, each with its address. */
    acceptedLogins: 20_000,
  },
  /** Requests to the gateway's own pages and to what it publishes; one on each connection. */
  http: {
    /** The request line and all fields together. */
    headerOctets: 8 * 1024,
    headerFields: 100,
    /** A form, as it is sent; and its fields, or those of a query. */
    formOctets: 64 * 1024,
    fields: 200,
    /** From connecting (TLS not counted) to the last octet of a request; and from then to the last one of the answer. */
    requestMs: 15_000,
    answerMs: 30_000,
    /** For which a client may go on sending behind the answer. */
    lingerMs: 2_000,
  },
  /** The pages about mail that waits. */
  selfService: {
    /** Recipients of a mail that its page lists; and those among whom it lets choose. With more, a choice is for all. */
    shownRecipients: 200,
    chosenRecipients: 50,
    listedMails: 100,
    /** Requests for a link that one client may make in so much time. */
    requests: 10,
    requestsMs: 15 * 60_000,
    /** Links that are sent to one address in so much time; in all in an hour; and how many are made at once. */
    links: 3,
    linksMs: 24 * 3_600_000,
    allLinks: 500,
    allLinksMs: 3_600_000,
    sending: 20,
    /** Clients, and addresses, of which requests are remembered. */
    remembered: 20_000,
  },
  pop3: {
    /** RFC 2449 §4 asks for 255 octets; AUTH with a bearer token needs far more. */
    commandLineOctets: 65_536,
    /** First lines of replies; RFC 2449 §4 allows 512. */
    replyLineOctets: 4_096,
    /** The whole answer to CAPA. */
    capabilityOctets: 65_536,
    /** Commands of one client whose answers are still to come. */
    commandsInFlight: 256,
    /** Commands before a login, and failed logins, after which a session ends. */
    commandsBeforeAuth: 50,
    authFailuresPerSession: 5,
    /** Messages of one session whose UIDL and class are remembered. */
    remembered: 20_000,
    beforeAuthTimeoutMs: 60_000,
    upstreamConnectTimeoutMs: 15_000,
    /**
     * POP3 has nothing to say while a message is being opened, and clients give up after a minute: so long after RETR it is
     * refused for now. It has at least the second time from when it was there whole.
     */
    openingMs: 50_000,
    leastOpeningMs: 10_000,
  },
  /** One message, octets, wherever nothing else is said; more is not gathered or opened. */
  messageOctets: 64 * 1024 * 1024,
  keys: {
    /** One request to a key process: what a scheme signs that cannot be given a digest. */
    requestOctets: 65 * 1024 * 1024,
    /** One answer of a key process: a signature, or a key that was opened. */
    answerOctets: 64 * 1024,
    /** One control message: above all the certificates of a token. */
    controlOctets: 32 * 1024 * 1024,
    /** Control messages of one key process in a second; it has a handful to say. */
    controlMessagesPerSecond: 200,
    /** Requests to one key process that wait, half of them for one key at most; with more, waiting is hopeless. */
    waiting: 2_000,
    /** What is remembered of one token, as text. A token with a thousand certificates stays below. */
    inventoryCharacters: 4 * 1024 * 1024,
  },
  postgresql: {
    /** Requests that wait for a connection; with more, waiting is hopeless. */
    waiting: 2_000,
    /** Times that a transaction is tried again because another one was in the way. */
    conflicts: 20,
    /** So long a commit without an answer is asked about before its mail is refused for now. */
    doubtMilliseconds: 30_000,
    /** What a change of the tables of a large directory may take, or be waited for where another gateway makes it. */
    migrationMilliseconds: 600_000,
  },
  directory: {
    /** Certificates of one address that wait for a person. */
    pendingOfAddress: 20,
    /** Certificates of one address that are kept at all. */
    certificatesOfAddress: 200,
    /** Addresses of one certificate that an import takes; one with more is not taken. */
    addressesOfCertificate: 1_000,
    /** A line of a file that is imported, as it stands there. */
    importLineOctets: 256 * 1024,
    /** A value of it, put together from its lines: certificates with their chain. */
    importValueOctets: 1024 * 1024,
    /** What a search gives at once. */
    pageEntries: 1_000,
    /** Questions to one remote source that are under way at once; others wait for their turn as long as there is time. */
    questionsToSource: 16,
    /** Addresses that are looked up at remote sources at once; with more, waiting is hopeless. */
    remoteLookups: 5_000,
    /** Values of one answer of a remote source in which certificates are looked for. */
    answerValues: 200,
    /** Certificates that are taken from one answer. */
    answerCertificates: 20,
  },
  /** What an HTTP certificate store says of one address. */
  httpStore: {
    octets: 1024 * 1024,
    redirects: 3,
  },
  /** Requests by HTTP that the gateway makes. */
  httpClient: {
    headerOctets: 16 * 1024,
  },
  dns: {
    /** In one answer. */
    records: 200,
    /** From one name to the next. */
    aliases: 8,
  },
  /** Whom mail is taken to that DNS has to say. */
  routing: {
    /** Mail servers of a domain, addresses of each, and addresses that are called in one attempt. */
    hosts: 10,
    addressesOfHost: 6,
    calls: 8,
    /** TLSA records of one server. */
    tlsaRecords: 50,
    /** Questions to resolvers at once, how long each may take, and all that are for one mail. */
    questions: 8,
    questionMs: 10_000,
    lookupMs: 45_000,
    /** Of a TXT record, and of an MTA-STS policy (RFC 8461 §3.3 names 64 KiB); its names; and how long it may take. */
    textOctets: 4 * 1024,
    policyOctets: 64 * 1024,
    policyNames: 200,
    policyMs: 20_000,
    /** Mail servers to which connections are kept, and places of which is remembered that they were away. */
    couriers: 100,
    remembered: 10_000,
  },
  /** What became of each mail, for `sealgate trace`. */
  trail: {
    /** Lines that wait to be written down, and of those in one transaction. */
    unwritten: 50_000,
    writtenAtOnce: 1_000,
    /**
     * Rows that are kept, however many days they are kept for: some 8 GB. A mail has one or two of them. Of those that are over, how many
     * are deleted together.
     */
    rows: 10_000_000,
    forgottenAtOnce: 2_000,
    /** Characters of one text in a line. */
    textCharacters: 4_000,
    /** Characters of all recipients' addresses together that are kept of one mail. */
    recipientCharacters: 4_000,
    /** The same of those that one step is about. */
    stepRecipientCharacters: 500,
    /** Lines of one mail, and mails, that a command shows. */
    shownLines: 10_000,
    shownMails: 1_000,
  },
  /** Mail that the gateway delivers by itself. */
  queue: {
    /** Shown in one list. */
    listed: 10_000,
    /** Destinations that a command names where it was given one that nothing waits for. */
    namedDestinations: 20,
    /** Under way at once, to all destinations together. */
    underWay: 200,
    /** Senders at places that are kept in mind, due or soon to be; new mail has room for as many again. */
    lines: 20_000,
    /** Of those, looked for in one statement. */
    linesAtOnce: 500,
    /** Octets of a mail that comes back whole in a report; of a larger one its header does. */
    returnedOctets: 1024 * 1024,
  },
  /** Several nodes that share the work. */
  cluster: {
    /** Chunks of 64 KiB of what is sealed, in one row of the database. */
    pieceChunks: 8,
    /** Jobs that a node looks at in the same moment: each is one look into the rows. */
    jobsAtOnce: 8,
    /** Places of which jobs may tell between two sweeps, and the length of a name in one: whoever has the Redis may forge them. */
    placesInSweep: 1_000,
    destinationCharacters: 1_024,
    /** Orders that Redis has not answered yet; what comes beyond them is looked at by the node itself. */
    jobsUnderWay: 1_000,
  },
  /** Connections to the mail servers of archives. */
  imapOut: {
    /** Of what a server says: one line, one response with its literals, and responses to one command. */
    lineOctets: 65_536,
    responseOctets: 1024 * 1024,
    responses: 10_000,
    connectTimeoutMs: 15_000,
    /** For the answer to a command; a server may store a large message for a while. */
    commandTimeoutMs: 120_000,
    appendTimeoutMs: 300_000,
    /** For the next octets of a message to be taken. */
    blockTimeoutMs: 60_000,
    /** Of one connection. */
    mailsOfConnection: 50,
    /** A connection that waits for the next message is kept so long. */
    idleMs: 5_000,
    /** What is under way when the gateway ends gets so long. */
    closeTimeoutMs: 10_000,
  },
  /** Mail that waits for a certificate. */
  holding: {
    /** At once. */
    mails: 50_000,
    /** That are looked at at once, whether they may leave. */
    atOnce: 4,
    /** Of an answer, as text, in which its first word is looked for. */
    answerCharacters: 64 * 1024,
    /** That a command lists. */
    listed: 10_000,
    /** Recipients that a question or a confirmation names. */
    namedRecipients: 50,
  },
  ldap: {
    /** One message of a server: an entry with its certificates. */
    messageOctets: 1024 * 1024,
    /** All that a server says on one connection. */
    octets: 4 * 1024 * 1024,
    /** Messages of a server on one connection. */
    messages: 200,
    /** Entries that a search may find: one address has one, or few. */
    entries: 20,
  },
  /** Own certificates that strangers may ask for. */
  publishing: {
    /** One request of an LDAP client. */
    requestOctets: 16 * 1024,
    /** Parts of a filter, and how deep they lie in one another. */
    filterParts: 60,
    filterDepth: 12,
    /** Attributes that one search names, and controls of a request. */
    attributes: 200,
    controls: 10,
    /** Certificates of one address that are given. */
    certificatesOfPerson: 10,
    /** Silence of an LDAP client, and what it has to take an answer. */
    silenceMs: 120_000,
    writeMs: 30_000,
    /** Client addresses whose searches are counted. */
    clients: 20_000,
    /** Look-ups in the HTTP store of one client address, in so much time. */
    lookups: 1_000,
    lookupsMs: 3_600_000,
  },
} as const;
