/**
 * What a token-management process gets of this program's environment: locale and home, the variables by which widespread modules
 * find their configuration and services, and what a pinentry needs to find the person. Secrets stay here.
 */
const INHERITED = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'XDG_CACHE_HOME',
  'SOFTHSM2_CONF',
  'OPENSC_CONF',
  'PCSCLITE_CSOCK_NAME',
  'TPM2_PKCS11_STORE',
  'TPM2TOOLS_TCTI',
  'TPM2_PKCS11_TCTI',
  'TERM',
  'GPG_TTY',
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XAUTHORITY',
  'DBUS_SESSION_BUS_ADDRESS',
];

export function managementEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const entries = INHERITED.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(entries);
}
