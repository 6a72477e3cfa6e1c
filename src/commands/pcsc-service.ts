import { connect } from 'node:net';

/** Where pcscd listens when PCSCLITE_CSOCK_NAME does not say. */
const USUAL_SOCKET = '/run/pcscd/pcscd.comm';
const ANSWER_MS = 2_000;

/**
 * Whether the service for card readers (pcscd) takes connections. By systemd its socket stands before it runs, and connecting starts
 * it.
 */
export async function isReaderServiceThere(): Promise<boolean> {
  const path = process.env.PCSCLITE_CSOCK_NAME ?? USUAL_SOCKET;
  const socket = connect(path);
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.setTimeout(ANSWER_MS, () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
