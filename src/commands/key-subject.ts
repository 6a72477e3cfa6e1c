import { SealgateError } from '../errors.ts';
import { printable } from '../log/printable.ts';
import type { RequestedSubject } from '../pki/certificate-request.ts';
import { parseMailbox } from '../pki/mailbox.ts';

export type SubjectOptions = {
  address: string[];
  commonName?: string;
  organization?: string;
  organizationalUnit?: string;
  country?: string;
  use: RequestedSubject['use'];
};

/** Who the certificate is asked for. @throws SealgateError `command.address` */
export function subjectOf(options: SubjectOptions): RequestedSubject {
  const { address, commonName, organization, organizationalUnit, country, use } = options;
  for (const one of address) if (parseMailbox(one) === null) throw notAnAddress(one);
  return {
    commonName: commonName ?? address[0] ?? '',
    addresses: address,
    use,
    ...(organization === undefined ? {} : { organization }),
    ...(organizationalUnit === undefined ? {} : { organizationalUnit }),
    ...(country === undefined ? {} : { country }),
  };
}

/**
 * A name for a key: what a terminal, a file and a configuration can hold.
 *
 * @throws SealgateError `command.key-name`
 */
export function requireKeyName(name: string): string {
  if (
    name !== '' &&
    name.length <= 100 &&
    !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(name) &&
    name === name.trim()
  ) {
    return name;
  }
  throw new SealgateError({
    code: 'command.key-name',
    duration: 'permanent',
    publicText: `“${printable(name)}” is no name for a key: 1 to 100 characters are, without control characters and blanks at the ends.`,
  });
}

function notAnAddress(text: string): SealgateError {
  return new SealgateError({
    code: 'command.address',
    duration: 'permanent',
    publicText: `“${printable(text)}” is not a mail address; one like alice@example.org is expected.`,
  });
}
