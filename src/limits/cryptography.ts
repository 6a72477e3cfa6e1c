/** Those of ASN.1, CMS, certificates and evidence of their revocation: a part of `limits`. */
export const cryptographyLimits = {
  asn1: {
    /** Nesting of constructed encodings. */
    depth: 64,
    /** Elements in one encoding that is walked as a tree. */
    elements: 200_000,
    /** Octets of one encoding besides its content, all of them together: they are read as a whole, however long the content. */
    structureOctets: 16 * 1024 * 1024,
    /** Octets of content for each segment beyond `elements` that it may come in. */
    segmentOctets: 64,
  },
  cms: {
    /** Layers of one message: encrypted in signed in encrypted … */
    layers: 8,
    recipientInfos: 2_000,
    signerInfos: 32,
    certificates: 200,
    /** CRLs that a message carries, and their octets together; further ones are not read. */
    crls: 16,
    crlOctets: 1024 * 1024,
    /** sMIMECapabilities of one signer, and octets of one's parameters; further ones are not read. */
    capabilities: 64,
    capabilityOctets: 128,
    /** Private-key operations for one encrypted layer; each may be a slow token's. */
    keyOperations: 32,
    /** Octets of one encrypted layer that are decrypted, over all attempts besides the first: a few of the largest messages. */
    decryptedOctets: 256 * 1024 * 1024,
    /** Octets that compressed content may always unpack to; beyond that only so many times what was sent. */
    inflatedOctets: 4 * 1024 * 1024,
    inflation: 100,
    /** PBKDF2 rounds that one message may ask for, over all its recipients and all passwords tried. */
    passwordIterations: 2_000_000,
    /** Content that a stream's reader gathers where a signature without signed attributes cannot be verified piece by piece. */
    bareContentOctets: 4 * 1024 * 1024,
    /** Octets of one content that are read again for signatures over the content itself, besides those of the first. */
    bareReadOctets: 512 * 1024 * 1024,
    /** Content under RC2, which is computed here and not by OpenSSL, on the event loop. */
    rc2Octets: 512 * 1024,
  },
  pki: {
    /** Certificates in one path, anchor included. */
    pathLength: 12,
    /** Candidate paths tried for one certificate. */
    candidatePaths: 64,
    /** Steps of path building (a certificate looked at as an issuer) for one certificate. */
    buildingSteps: 1_000,
    /** Signatures verified anew for one certificate; verdicts that are remembered cost nothing. */
    signatureChecks: 100,
    /** Verdicts on signatures that are remembered, in the whole process. */
    rememberedSignatures: 50_000,
    certificateOctets: 128 * 1024,
    extensions: 100,
    /** Names in one subjectAltName, subtrees in one nameConstraints. */
    generalNames: 2_000,
    /** Comparisons of a name with a subtree, for one path. */
    nameComparisons: 100_000,
    /** Policies, and mappings, in one certificate. */
    policies: 128,
    /** RSA and DSA; a larger key costs the verifier too much. */
    modulusBits: 8_192,
    /** subjectPublicKey of one certificate; ML-DSA-87 needs 2,592. */
    publicKeyOctets: 4_096,
    /** A file of certificates. */
    bundleOctets: 8 * 1024 * 1024,
    bundleCertificates: 2_000,
    crlOctets: 32 * 1024 * 1024,
    crlEntries: 500_000,
    /** Distribution points of one certificate, names of one of them. */
    distributionPoints: 64,
    /** CRLs and responses looked at for one certificate; the newest come first. */
    revocationCandidates: 64,
    /** Certificates in a row whose revocation rests on another signer's: signer of a CRL, of its signer's CRL … */
    revocationDepth: 6,
    /** Signatures verified anew for the revocation of one path. */
    revocationSignatureChecks: 200,
    ocspResponseOctets: 128 * 1024,
    ocspSingleResponses: 100,
    ocspCertificates: 10,
    /** How far another clock may be ahead of ours. */
    clockSkewMs: 300_000,
    /** How long a CRL or response counts as new that does not say when the next one comes. */
    ageWithoutNextUpdateMs: 3_600_000,
  },
  /** Evidence of revocation that is fetched from where certificates say. */
  revocation: {
    /** Places of one kind that one certificate may send us to. */
    urlsPerCertificate: 4,
    urlCharacters: 2_048,
    redirects: 3,
    /** Fetches at once, and further ones that wait for their turn. */
    fetches: 16,
    waiting: 1_000,
    /** One fetch in all, name look-up and redirects included. Whoever asks waits much shorter; the answer is kept. */
    fetchTimeoutMs: 60_000,
    /** How often signers of evidence may need evidence of their own. */
    rounds: 3,
    /** What failed is not tried again for so long; doubled with each failure, up to the second one. */
    backOffMs: 60_000,
    longestBackOffMs: 3_600_000,
    /** Evidence in memory, and places whose state is remembered. */
    memoryOctets: 96 * 1024 * 1024,
    places: 20_000,
    /** Certificates about to be used whose standing is remembered, and how long. */
    standings: 20_000,
    standingMs: 60_000,
    /** How long it is remembered that there is nobody who could be asked about one, or no path to an anchor. */
    noStandingMs: 1_000,
    /** CA certificates that were on a valid path; they complete the paths of correspondents' certificates. */
    knownIssuers: 1_000,
  },
} as const;
