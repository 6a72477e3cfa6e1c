import type { Command } from 'commander';
import { type CertOptions, withCertOptions } from './cert-options.ts';

/** `sealgate cert lookup`: asks the remote sources for one address, and says what each said. */
export function addCertLookup(cert: Command): void {
  withCertOptions(
    cert
      .command('lookup')
      .description(
        'asks every source of directory.sources for an address now, whatever it said before; what is found is kept',
      )
      .argument('<address>', 'mail address'),
  ).action(async (address: string, options: CertOptions) => {
    // It needs what judges paths; the other commands do without.
    const { lookUp } = await import('./cert-lookup-asking.ts');
    await lookUp(address, options);
  });
}
