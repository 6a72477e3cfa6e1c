import type { Certificate } from './certificate.ts';

/** One failed check of RFC 5280 §6.1, with the certificate it failed on. */
export type PathProblem = {
  check:
    | 'signature'
    | 'validity'
    | 'issuer-name'
    | 'basic-constraints'
    | 'path-length'
    | 'key-usage'
    | 'extended-key-usage'
    | 'name-constraints'
    | 'policy'
    | 'unknown-critical-extension'
    | 'no-path'
    | 'too-complex';
  certificate: Certificate;
  /** For people; foreign names in it are escaped and shortened. */
  text: string;
};

/**
 * `valid` means: some path to an anchor passed every check; `path` begins with the certificate asked for and ends with
 * the anchor. Otherwise the problems of the best candidate.
 */
export type PathReport =
  | { outcome: 'valid'; anchor: Certificate; path: readonly Certificate[] }
  | { outcome: 'invalid'; problems: readonly PathProblem[] };
