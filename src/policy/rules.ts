/**
 * The language of outbound rules. Rules are tried in order for each recipient; the first that applies decides. No
 * rule applies: refused (nothing leaves by omission, and a slip in a rule's domain is a refusal and no leak).
 */
export type Rule = {
  /** Unique; shown in replies, log lines and explanations. */
  name: string;
  when: Condition;
  sign: Demand;
  encrypt: Demand;
  /** With `encrypt: 'require'`, when a recipient has no certificate of at least `minTrust`. */
  withoutCertificate: WithoutCertificate;
  /** With `hold` and `ask`: those who wait get a signed note of the sender, which asks for a signed answer. */
  introduce: boolean;
  form: SignatureForm;
  subject: SubjectConfidentiality;
  /** For mail that the client itself has signed or encrypted. */
  alreadyProtected: 'forward' | 'refuse';
  minTrust: CertificateTrust;
  /** For certificates whose revocation could not be checked; null: as the gateway's setting says. */
  revocation: 'soft' | 'hard' | null;
  requireTls: TlsDemand;
  /** null: nothing is pinned. */
  algorithms: RuleAlgorithms | null;
  /** null: what authors write changes nothing. */
  steering: Steering | null;
  /** What the rule asks for in the Subject, and the field that steers, are taken out of the mail. */
  stripTag: boolean;
  /** Addresses that get a short mail from the gateway when this rule has decided for somebody. */
  notify: readonly string[];
  /** The archive that gets a copy of what leaves, as it leaves; null: none. */
  appendTo: string | null;
};

/** `hold`: the mail waits, for a certificate or for a person; `ask`: it waits, and its sender is asked what to do. */
export type WithoutCertificate = 'refuse-all' | 'refuse-recipient' | 'send-signed' | 'hold' | 'ask';

export type Demand = 'require' | 'if-possible' | 'never';

/**
 * multipart/signed or application/pkcs7-mime with signed-data (RFC 8551 §3.5); `triple-wrap`: signed, encrypted and signed again (RFC
 * 2634 §1.1), and where nothing is encrypted as `clear`.
 */
export type SignatureForm = 'clear' | 'opaque' | 'triple-wrap';

/** Whether mail may leave without TLS (RFC 8689): `upstream` asks for it to the mail server, `onward` for the whole way. */
export type TlsDemand = 'no' | 'upstream' | 'onward';

/** What authors may ask for, by the tags `[sign]`, `[encrypt]` and `[plain]` or by these words as values of a field. */
export type Steering = {
  tags: boolean;
  /** Name of the field in lower case; null: by tags alone. */
  header: string | null;
  /** `plain` counts: neither signed nor encrypted. */
  mayLower: boolean;
};

/** null: chosen by what is known of the readers. */
export type RuleAlgorithms = {
  contentEncryption: 'aes256-gcm' | 'aes128-gcm' | 'aes256-cbc' | 'aes128-cbc' | null;
  keyManagement: 'rsa-oaep' | 'rsa-pkcs1' | 'ecdh' | 'ml-kem' | null;
  signature: 'rsa-pss' | 'rsa-pkcs1' | 'ecdsa' | 'eddsa' | 'ml-dsa' | null;
};

/** Of an encrypted mail: readable on the way, or inside only (RFC 9788 §3.2). Inside it is protected in any case. */
export type SubjectConfidentiality = 'keep' | 'protect';

/**
 * Why a certificate is believed, see trust.ts for the order. `harvested`: it came with a good signature. `directory`: a source
 * says so that an administrator configured. `verified`: it leads to a trust anchor, or its domain vouches for it by DNSSEC. `pinned`: an administrator said so.
 */
export type CertificateTrust = 'harvested' | 'directory' | 'verified' | 'pinned';

/** What a rule applies to: all that is said must hold. */
export type Condition = PlainCondition & {
  /** The rule does not apply where all of this holds: an exception, without which the rule would have to be written twice. */
  not: PlainCondition | null;
  /** At least one of these holds: for different kinds of condition, since of each list one item is enough anyway. */
  anyOf: readonly PlainCondition[] | null;
};

/**
 * All that is not null must hold; of each list, one item. Domains are A-labels in lower case; `*.d` is below d. An address may have
 * one `*` in its local part.
 */
export type PlainCondition = {
  recipient: readonly string[] | null;
  recipientDomain: readonly string[] | null;
  /** Names of groups that the recipient is in, as for the From address and the login below. */
  recipientGroup: readonly string[] | null;
  sender: readonly string[] | null;
  senderDomain: readonly string[] | null;
  senderGroup: readonly string[] | null;
  login: readonly string[] | null;
  loginGroup: readonly string[] | null;
  /** Names of submission listeners. */
  listener: readonly string[] | null;
  header: readonly HeaderCondition[] | null;
  /** `[word]` at the beginning of the Subject, without the brackets. */
  subjectTag: readonly string[] | null;
  /** Of the message as the client sent it. */
  size: SizeCondition | null;
  /** Media types in lower case; `application/*` is every one of that type. */
  attachmentType: readonly string[] | null;
  /** Last extensions of file names, in lower case, without the dot. */
  attachmentExtension: readonly string[] | null;
  /** What the client has done itself. */
  protection: readonly ClientProtection[] | null;
  /** Whether one can be encrypted to; a trust: one that is trusted at least so much. */
  certificateKnown: 'yes' | 'no' | CertificateTrust | null;
};

/** One field of that name in the message's header passes the test. Values are compared without case, blanks as one. */
export type HeaderCondition = { name: string; test: HeaderTest };

export type HeaderTest =
  | { kind: 'present' }
  | { kind: 'equals'; values: readonly string[] }
  | { kind: 'contains'; values: readonly string[] };

/** Octets; null: no bound. */
export type SizeCondition = { atLeast: number | null; below: number | null };

export type ClientProtection = 'none' | 'signed' | 'encrypted';

/** Correspondents and logins under one name. */
export type Group = {
  name: string;
  /** As in conditions. */
  addresses: readonly string[];
  domains: readonly string[];
  logins: readonly string[];
  /** Further ones are in it by what a directory says; null or absent: none. */
  ldap?: GroupQuestion | null;
};

/** How a directory is asked who is in a group: filters with places for the address or the login; null: no address, no login is in it. */
export type GroupQuestion = {
  /** Name of the directory. */
  source: string;
  addresses: string | null;
  logins: string | null;
};
