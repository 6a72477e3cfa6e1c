/**
 * Names of environment variables that a pinentry needs to find its person: a key process that is to ask must be given them.
 * Nothing else of the environment reaches a pinentry.
 */
export const PINENTRY_ENVIRONMENT: readonly string[] = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'LC_MESSAGES',
  'TERM',
  'GPG_TTY',
  'DISPLAY',
  'XAUTHORITY',
  'WAYLAND_DISPLAY',
  'XDG_RUNTIME_DIR',
  'XDG_SESSION_TYPE',
  'XDG_CURRENT_DESKTOP',
  'DBUS_SESSION_BUS_ADDRESS',
  'QT_QPA_PLATFORM',
];
