/** Not process.exit: that waits for threads, and one may be inside a module that never returns. */
export function endProcess(): void {
  process.kill(process.pid, 'SIGKILL');
}
