/** Object identifiers of CMS structures. Those of algorithms are in the tables of the algorithms. */

/** RFC 5652 §4 - §9, RFC 5083 §2, RFC 3274 §1.1. */
export const contentTypes = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  digestedData: '1.2.840.113549.1.7.5',
  encryptedData: '1.2.840.113549.1.7.6',
  compressedData: '1.2.840.113549.1.9.16.1.9',
  authEnvelopedData: '1.2.840.113549.1.9.16.1.23',
} as const;

export const attributeTypes = {
  /** RFC 5652 §11.1. */
  contentType: '1.2.840.113549.1.9.3',
  /** RFC 5652 §11.2. */
  messageDigest: '1.2.840.113549.1.9.4',
  /** RFC 5652 §11.3. */
  signingTime: '1.2.840.113549.1.9.5',
  /** RFC 8551 §2.5.2. */
  smimeCapabilities: '1.2.840.113549.1.9.15',
  /** RFC 8551 §2.5.3. */
  encryptionKeyPreference: '1.2.840.113549.1.9.16.2.11',
  /** RFC 2634 §5.4: SHA-1 only. */
  signingCertificate: '1.2.840.113549.1.9.16.2.12',
  /** RFC 5035 §3. */
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  /** RFC 6211 §2. */
  algorithmProtection: '1.2.840.113549.1.9.52',
} as const;

/** oriType of an OtherRecipientInfo. */
export const otherRecipientTypes = {
  /** RFC 9629 §3. */
  kem: '1.2.840.113549.1.9.16.13.3',
} as const;
