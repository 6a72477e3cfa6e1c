import type { Certificate } from '../pki/certificate.ts';
import { canonicalAddress } from './canonical-address.ts';
import { isNamed } from './key-reference.ts';
import type { KeyringPrincipal, LiveKeys } from './keyring.ts';

/** A certificate of a key that a login has, and an address of that login. */
export type OwnCertificateOf = {
  address: string;
  certificate: Certificate;
};

export type OwnCertificatesOptions = {
  principals: readonly KeyringPrincipal[];
  /** A login that is a mail address owns that address. */
  loginIsAddress: boolean;
  keys: Pick<LiveKeys, 'signing' | 'decryption' | 'version'>;
};

/**
 * Certificates of the keys that the configuration gives to logins, with the addresses of those logins: public data, and no key. What a
 * token held when it was there last is among them. What a certificate may be used for, and whether it names the address, is for the
 * caller.
 */
export class LoginCertificates {
  readonly #options: OwnCertificatesOptions;

  constructor(options: OwnCertificatesOptions) {
    this.#options = options;
  }

  /** Grows when keys come or go. */
  get version(): number {
    return this.#options.keys.version;
  }

  list(): readonly OwnCertificateOf[] {
    const { principals, loginIsAddress, keys } = this.#options;
    const all = [...keys.decryption, ...keys.signing];
    return principals.flatMap(({ login, addresses, keys: names }) => {
      const own = all.filter((key) => names.some((name) => isNamed(key, name)));
      const said = loginIsAddress ? [...addresses, login] : addresses;
      return [...new Set(said.flatMap((each) => canonicalAddress(each) ?? []))].flatMap((address) =>
        own.map(({ certificate }) => ({ address, certificate })),
      );
    });
  }
}
