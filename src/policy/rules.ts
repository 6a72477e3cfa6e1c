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
  withoutCertificate: 'refuse-all' | 'refuse-recipient' | 'send-signed';
  form: SignatureForm;
  subject: SubjectConfidentiality;
  /** For mail that the client itself has signed or encrypted. */
  alreadyProtected: 'forward' | 'refuse';
  minTrust: CertificateTrust;
};

export type Demand = 'require' | 'if-possible' | 'never';

/** multipart/signed or application/pkcs7-mime with signed-data (RFC 8551 §3.5). */
export type SignatureForm = 'clear' | 'opaque';

/** Of an encrypted mail: readable on the way, or inside only (RFC 9788 §3.2). Inside it is protected in any case. */
export type SubjectConfidentiality = 'keep' | 'protect';

/**
 * Why a certificate is believed, see trust.ts for the order. `harvested`: it came with a good signature. `directory`: a source
 * says so that an administrator configured. `verified`: it leads to a trust anchor. `pinned`: an administrator said so.
 */
export type CertificateTrust = 'harvested' | 'directory' | 'verified' | 'pinned';

/** All that is not null must hold; of each list, one item. Domains are A-labels in lower case; `*.d` is below d. */
export type Condition = {
  recipient: readonly string[] | null;
  recipientDomain: readonly string[] | null;
  sender: readonly string[] | null;
  senderDomain: readonly string[] | null;
  login: readonly string[] | null;
};
