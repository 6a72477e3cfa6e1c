/** One line on standard error for each step of long work, so that standard output holds the result alone. */
export function tellProgress(text: string): void {
  process.stderr.write(`${text} …\n`);
}
