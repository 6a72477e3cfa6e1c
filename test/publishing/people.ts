import type { RevocationStanding } from '../../src/pipeline/ports.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import {
  type OwnCertificateOf,
  PublishedPeople,
  type PublishedPeopleOptions,
} from '../../src/publishing/published-people.ts';
import {
  distinguishedName,
  ecKey,
  generalName,
  keyUsage,
  makeCertificate,
  now,
  subjectAltName,
} from '../pki/make-certificate.ts';

export type Made = {
  address: string;
  /** Default: the address. */
  names?: string;
  /** Another one that it names beside. */
  also?: string;
  cn?: string;
  sn?: string;
  givenName?: string;
  use?: 'sign' | 'encrypt' | 'authority';
  notBefore?: Date;
  notAfter?: Date;
  serial?: number;
};

const USES = { sign: [0], encrypt: [4], authority: [5] } as const;

export function certificateFor({
  address,
  names = address,
  also,
  cn,
  sn,
  givenName,
  use,
  ...rest
}: Made): Certificate {
  return makeCertificate({
    subject: distinguishedName(
      ...(cn === undefined ? [] : [['2.5.4.3', cn] as [string, string]]),
      ...(sn === undefined ? [] : [['2.5.4.4', sn] as [string, string]]),
      ...(givenName === undefined ? [] : [['2.5.4.42', givenName] as [string, string]]),
    ),
    issuer: 'Example CA',
    key: ecKey(address),
    issuerKey: ecKey('Example CA'),
    extensions: [
      subjectAltName(...[names, ...(also === undefined ? [] : [also])].map(generalName.mailbox)),
      ...(use === undefined ? [] : [keyUsage(...USES[use])]),
    ],
    ...rest,
  });
}

export function own(made: Made): OwnCertificateOf {
  return { address: made.address, certificate: certificateFor(made) };
}

/** Own certificates that a test may exchange. */
export class TestOwn {
  version = 0;
  #list: readonly OwnCertificateOf[];

  constructor(list: readonly OwnCertificateOf[]) {
    this.#list = list;
  }

  list(): readonly OwnCertificateOf[] {
    return this.#list;
  }

  replace(list: readonly OwnCertificateOf[]): void {
    this.#list = list;
    this.version++;
  }
}

export function peopleOf(
  list: readonly OwnCertificateOf[] | TestOwn,
  changed: Partial<PublishedPeopleOptions> = {},
): PublishedPeople {
  return new PublishedPeople({
    own: list instanceof TestOwn ? list : new TestOwn(list),
    scope: { domains: null, withheld: [] },
    clock: () => now,
    postQuantum: false,
    ...changed,
  });
}

/** Revocation as a test says. */
export function standingOf(revoked: ReadonlySet<string>): RevocationStanding {
  return {
    of: async ({ fingerprint }) =>
      revoked.has(fingerprint) ? { kind: 'revoked', why: 'its key was stolen' } : { kind: 'good' },
  };
}
