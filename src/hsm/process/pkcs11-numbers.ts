/** Numbers of PKCS#11 v3.0 and v3.1 that the binding has no names for. */

/** PKCS#11 v3.0 §2.3.5, §2.3.6. */
export const CKK_EC_EDWARDS = 0x40;
export const CKK_EC_MONTGOMERY = 0x41;

/** Pure EdDSA without parameters: the message goes in as it is. */
export const CKM_EDDSA = 0x1057;

/** DER of the SubjectPublicKeyInfo, as an attribute of the private key. */
export const CKA_PUBLIC_KEY_INFO = 0x129;
/** CK_MECHANISM_TYPE values in a row. */
export const CKA_ALLOWED_MECHANISMS = 0x4000_0600;

/** CK_RSA_PKCS_OAEP_SOURCE_TYPE. */
export const CKZ_DATA_SPECIFIED = 1;
/** CK_EC_KDF_TYPE: none. */
export const CKD_NULL = 1;

/** The token has no room for what was asked, now. */
export const CKR_TOKEN_RESOURCE_EXCEEDED = 0x201;
export const CKR_OPERATION_CANCEL_FAILED = 0x202;

/** CK_SLOT_INFO. */
export const CKF_TOKEN_PRESENT = 1;
