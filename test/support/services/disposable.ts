import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Something a test started: ended by `stop()`, or by `await using` at the end of the block. */
export type Started<Service> = Service & AsyncDisposable & { stop(): Promise<void> };

/** Adds `await using` to what has a `stop()`. */
export function started<Service>(service: Service & { stop(): Promise<void> }): Started<Service> {
  return Object.assign(service, { [Symbol.asyncDispose]: () => service.stop() });
}

/** A folder of its own below the system's temporary folder, mode 0700. */
export async function temporaryFolder(
  purpose: string,
): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), `sealgate-${purpose}-`));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
