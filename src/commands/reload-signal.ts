/**
 * Calls back at each SIGHUP, one call after another: while one runs, any number of signals are one more.
 *
 * @param reload never rejects
 */
export function onReloadSignal(reload: () => Promise<void>): { stop(): void } {
  let running = false;
  let again = false;
  const run = async (): Promise<void> => {
    running = true;
    do {
      again = false;
      await reload();
    } while (again);
    running = false;
  };
  const received = (): void => {
    if (running) again = true;
    else void run();
  };
  process.on('SIGHUP', received);
  return { stop: () => void process.off('SIGHUP', received) };
}
