import { type Command, InvalidArgumentError } from 'commander';
import { SealgateError } from '../errors.ts';
import { printable } from '../log/printable.ts';
import {
  type DecidingOptions,
  decidedBy,
  fingerprintFrom,
  withDecidingOptions,
  withDirectory,
} from './cert-options.ts';
import { jsonText } from './json-output.ts';

/** `sealgate cert trust`, `distrust`, `pin`, `accept` and `undo`: what a person decides. A running gateway follows at once. */
export function addCertDecisions(cert: Command): void {
  for (const [action, description] of [
    ['trust', 'this certificate is to be believed, whatever its path says, for every address that it names'],
    ['distrust', 'this certificate is never used nor believed again, whatever anybody else says'],
  ] as const) {
    withDecidingOptions(
      cert.command(action).description(description).argument('<fingerprint>', 'SHA-256 fingerprint'),
    ).action((fingerprint: string, options: DecidingOptions) => judge(action, fingerprint, options));
  }
  for (const [action, description] of [
    ['pin', 'this certificate and no other is used for the address; only a person changes that'],
    ['accept', 'takes a change that waits: this certificate is used in place of the one before'],
  ] as const) {
    withDecidingOptions(
      cert
        .command(action)
        .description(description)
        .argument('<address>', 'mail address')
        .argument('<fingerprint>', 'SHA-256 fingerprint of a certificate that is known for it'),
    ).action((address: string, fingerprint: string, options: DecidingOptions) =>
      review(action, address, fingerprint, options),
    );
  }
  withDecidingOptions(
    cert
      .command('undo')
      .description('takes a decision back; both stay in the journal')
      .argument('<number>', 'number of the decision, as “sealgate cert why” shows it', decisionNumber),
  ).action((number: number, options: DecidingOptions) => undo(number, options));
}

async function judge(action: 'trust' | 'distrust', written: string, options: DecidingOptions): Promise<void> {
  const fingerprint = fingerprintFrom(written);
  const decided = decidedBy(options);
  await withDirectory(options, async ({ register }) => {
    const decision = await register.judge(fingerprint, action, decided);
    const known = await register.ofCertificate(fingerprint);
    const addresses = known.map(({ address }) => address);
    const of = addresses.length === 0 ? 'It is not known yet.' : `It is known for ${list(addresses)}.`;
    const named = (known[0]?.certificate.mailboxes ?? []).filter((one) => !addresses.includes(one));
    // Whoever trusts a certificate for one of its addresses trusts it for the others.
    const also =
      action === 'trust' && named.length > 0
        ? [
            `It names more addresses, for which it is trusted as well: ${named.map((one) => printable(one)).join(', ')}.`,
          ]
        : [];
    const what = action === 'trust' ? 'trusted' : 'distrusted';
    said(options, { decision, action, fingerprint, ...decided, addresses }, [
      `Decision ${decision}: the certificate ${fingerprint} is ${what} from now on. ${of}`,
      ...also,
      `To take it back: sealgate cert undo ${decision} --reason …`,
    ]);
  });
}

async function review(
  action: 'pin' | 'accept',
  address: string,
  written: string,
  options: DecidingOptions,
): Promise<void> {
  const fingerprint = fingerprintFrom(written);
  const decided = decidedBy(options);
  await withDirectory(options, async ({ register, pinned }) => {
    const decision = await register.review(address, fingerprint, action, decided);
    if (decision === null) {
      throw new SealgateError({
        code: 'command.certificate-unknown',
        duration: 'permanent',
        publicText: `No such certificate is known for ${printable(address)}: “sealgate cert list --address ${printable(address)}” shows those that are, “sealgate cert import” brings others.`,
      });
    }
    const what = action === 'pin' ? 'pinned for' : 'used for';
    const overruled =
      pinned.find(address).length > 0
        ? ['It has no effect as long as a file in directory.pinned names this address.']
        : [];
    said(options, { decision, action, address, fingerprint, ...decided }, [
      `Decision ${decision}: the certificate ${fingerprint} is ${what} ${printable(address)} from now on.`,
      ...overruled,
      `To take it back: sealgate cert undo ${decision} --reason …`,
    ]);
  });
}

async function undo(number: number, options: DecidingOptions): Promise<void> {
  const decided = decidedBy(options);
  await withDirectory(options, async ({ register }) => {
    const { action, fingerprint, address } = await register.undo(number, decided);
    said(options, { undone: number, action, fingerprint, address, ...decided }, [
      `Decision ${number} (${action} of ${fingerprint}) is taken back.`,
    ]);
  });
}

function said(options: DecidingOptions, json: unknown, lines: readonly string[]): void {
  process.stdout.write(options.json ? `${jsonText(json)}\n` : `${lines.join('\n')}\n`);
}

function list(addresses: readonly string[]): string {
  const shown = addresses
    .slice(0, 5)
    .map((one) => printable(one))
    .join(', ');
  return addresses.length > 5 ? `${shown} and ${addresses.length - 5} others` : shown;
}

function decisionNumber(written: string): number {
  if (/^\d{1,15}$/.test(written)) return Number(written);
  throw new InvalidArgumentError('the number of a decision is expected');
}
