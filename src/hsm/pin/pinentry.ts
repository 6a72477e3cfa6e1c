import type { AskOptions, PinOutcome, PinPrompt } from './pin-prompt.ts';

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

/** Never rejects. @param program absolute path; null: the first `pinentry` on PATH */
export async function askPinentry(
  program: string | null,
  prompt: PinPrompt,
  options: AskOptions = {},
): Promise<PinOutcome> {
  options.signal?.throwIfAborted();
  const publicText = `${program ?? 'pinentry'} is not asked yet (${prompt.purpose}).`;
  return { kind: 'unavailable', duration: 'temporary', publicText };
}
