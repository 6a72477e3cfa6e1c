import { SealgateError } from '../errors.ts';
import { storeUnavailable, storeUnusable } from './sql-store.ts';

/** What only an administrator can change, by SQLSTATE (PostgreSQL, appendix A). */
const PERMANENT: ReadonlyMap<string, string> = new Map([
  ['28P01', 'the server refuses the password'],
  ['28000', 'the server does not let this user in (pg_hba.conf)'],
  ['3D000', 'there is no such database'],
  ['42501', 'the user may not make tables in it'],
]);

const TLS = /^(ERR_TLS_|CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO_)/;

/** An error of the driver as ours. What the driver says goes to the log only, and never has a password in it. */
export function postgresqlFault(error: unknown, place: string): SealgateError {
  if (error instanceof SealgateError) {
    return error.code === 'store.unusable' ? storeUnusable(place, error.reason ?? 'unknown') : error;
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known = PERMANENT.get(code);
  if (known !== undefined) return storeUnusable(place, known);
  const text = error instanceof Error ? error.message : String(error);
  if (TLS.test(code)) return storeUnusable(place, `its certificate is not believed (${text})`);
  if (/client password must be/.test(text)) return storeUnusable(place, 'the server wants a password');
  if (text === 'The server does not support SSL connections') {
    return storeUnusable(place, 'the server has no TLS');
  }
  return storeUnavailable(code === '' ? text : `${code}: ${text}`, error);
}
