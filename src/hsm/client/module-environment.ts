import { PINENTRY_ENVIRONMENT } from '../pinentry-environment.ts';

/**
 * What of this program's environment reaches a PKCS#11 module: locale, home, and the variables by which widespread modules find their
 * configuration and services. Everything else, secrets above all, stays out of the processes that have one.
 */
const INHERITED: readonly string[] = [
  'PATH',
  'HOME',
  'LANG',
  'TZ',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'XDG_CACHE_HOME',
  'SOFTHSM2_CONF',
  'OPENSC_CONF',
  'TPM2_PKCS11_STORE',
  'TPM2_PKCS11_TCTI',
  'TPM2TOOLS_TCTI',
  'PCSCLITE_CSOCK_NAME',
];

/** @param asks whether a person may be asked for a PIN: a pinentry has to find them */
export function moduleEnvironment(own: NodeJS.ProcessEnv, asks: boolean): Record<string, string> {
  const locale = Object.keys(own).filter((name) => name.startsWith('LC_'));
  return pickedFrom(own, [...INHERITED, ...locale, ...(asks ? PINENTRY_ENVIRONMENT : [])]);
}

/** Those of the names that are set. */
export function pickedFrom(from: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of names) {
    const value = from[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}
