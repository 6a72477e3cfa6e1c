import { SealgateError } from '../../errors.ts';

/** What a client says is no LDAP, or none that this server bears. @param reason what was found; never what was said */
export function protocolFault(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'publishing.ldap-protocol',
    publicText: 'The request is not well-formed LDAP.',
    duration: 'permanent',
    reason,
    ...(cause === undefined ? {} : { cause }),
  });
}
