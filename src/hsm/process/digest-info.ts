import type { DigestName } from '../../cms/keys.ts';

/** DER of DigestInfo up to the digest itself (RFC 8017 §9.2, note 1). */
const PREFIXES: Readonly<Record<DigestName, string>> = {
  sha1: '3021300906052b0e03021a05000414',
  sha224: '302d300d06096086480165030402040500041c',
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};

/** What CKM_RSA_PKCS is given to sign: T of EMSA-PKCS1-v1_5 (RFC 8017 §9.2 step 2). */
export function digestInfo(digest: DigestName, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(PREFIXES[digest], 'hex'), value]);
}
