import { freePort } from '../../src/evaluation/free-port.ts';

/**
 * The lower one of two neighbouring ports, for a program that takes the next one too. Both are asked for: a server of another test
 * that has the second would be taken for the program's own.
 *
 * @throws SealgateError `evaluation.no-free-port`
 */
export async function freePair(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const next = await freePort(port + 1, port + 2).catch(() => null);
    if (next !== null) return port;
  }
}
