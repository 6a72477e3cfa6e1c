/** Numbers of the pipes between a key process and who started it: file descriptors there, places in `child.stdio` here. */

/** Control messages (control-frames.ts), after stdin, stdout and stderr. */
export const CONTROL_PIPE = 3;

/** Of one session, counted from 0 (operation-frames.ts). */
export function pipeOf(session: number): number {
  return CONTROL_PIPE + 1 + session;
}

/** First argument of a key process, so that importing its file elsewhere does nothing. */
export const KEY_PROCESS = 'sealgate-key-process';
