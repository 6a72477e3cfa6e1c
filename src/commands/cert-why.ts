import type { Command } from 'commander';
import { type CertOptions, withCertOptions } from './cert-options.ts';

/** `sealgate cert why`: everything that is known of an address or a certificate, and what follows from it. */
export function addCertWhy(cert: Command): void {
  withCertOptions(
    cert
      .command('why')
      .description(
        'why certificates are used and trusted, or are not: path, anchor, purpose, revocation, decisions, history, and what to do',
      )
      .argument('<address|fingerprint>', 'mail address, or SHA-256 fingerprint of a certificate'),
  ).action(async (asked: string, options: CertOptions) => {
    // It needs what judges paths and revocation; the other commands do without.
    const { why } = await import('./cert-why-finding.ts');
    await why(asked, options);
  });
}
