import { type Command, InvalidArgumentError } from 'commander';
import { SealgateError } from '../errors.ts';
import { publishedPeople } from '../gateway/publishing.ts';
import { loadTrust, openRevocationFor } from '../gateway/trust.ts';
import type { KeySources } from '../hsm/key-sources.ts';
import { silentLog } from '../log/log.ts';
import { printable } from '../log/printable.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateEncrypt, mayCertificateSign } from '../pki/key-purpose.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import { nameForPeople } from '../pki/name.ts';
import type { PublishedPeople, Withheld } from '../publishing/published-people.ts';
import { withoutName, type ZonePerson, zoneText } from '../publishing/smimea-zone.ts';
import { openSqliteAsItIs } from '../store/sqlite.ts';
import { addressText, day } from './cert-text.ts';
import { jsonText } from './json-output.ts';
import { keysWithoutLogin } from './keys-without-login.ts';
import { type OutputOptions, writeOutput } from './output-file.ts';
import { configPath, readConfig } from './read-config.ts';

/** `sealgate publish`: certificates of own users, as they are published, and as records for a name server. */
export function addPublishCommands(program: Command): void {
  const publish = program
    .command('publish')
    .description("certificates of this gateway's own users, for those who write to them");
  publish
    .command('list')
    .description(
      'what is published by the configuration, and what is not and why; exit code 1 if keys cannot be read',
    )
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON')
    .action(list);
  publish
    .command('smimea')
    .description(
      'SMIMEA records (RFC 8162) of them as a zone file, for a zone that is signed (DNSSEC); nothing is written if keys cannot be read',
    )
    .option('--domain <domain>', 'addresses of this domain only')
    .option('--ttl <seconds>', 'how long resolvers keep a record', seconds, 3_600)
    .option('--generic', 'as records of a type without a name (RFC 3597), for old name servers')
    .option('--out <file>', 'file to write', '-')
    .option('--force', 'also in the place of a file that is there')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .action(smimea);
}

type ListOptions = { config?: string; json?: true };
type SmimeaOptions = OutputOptions & { domain?: string; ttl: number; generic?: true; config?: string };

type Found = {
  people: readonly ZonePerson[];
  withheld: readonly Withheld[];
  /** By source of keys: why nobody knows what is in it. */
  unseen: KeySources['unseen'];
};

async function list({ config, json }: ListOptions): Promise<void> {
  const { people, withheld, unseen } = await published(config);
  const problems = [...unseen].map(([source, why]) => ({ source, why }));
  const text =
    json === true
      ? jsonText({
          published: people.map(({ address, certificates }) => ({
            address,
            certificates: certificates.map(certificateJson),
          })),
          withheld: withheld.map(({ address, certificate, why }) => ({
            ...{ address, why, certificate: certificateJson(certificate) },
          })),
          problems,
        })
      : [
          ...(people.length === 0 ? ['Nothing is published.'] : people.flatMap(personLines)),
          ...withheld.flatMap(withheldLines),
          ...problems.map(({ source, why }) => `PROBLEM  ${printable(source)}: ${printable(why)}`),
        ].join('\n');
  process.stdout.write(`${text}\n`);
  if (problems.length > 0) process.exitCode = 1;
}

/** A zone in which somebody is missing takes her certificates away from those who write to her. @throws SealgateError `command.publish-incomplete` */
async function smimea({ config, domain, ttl, generic, out, force }: SmimeaOptions): Promise<void> {
  const wanted = domain === undefined ? null : domainOf(domain);
  const { people, unseen } = await published(config);
  const [problem] = unseen.values();
  if (problem !== undefined) {
    throw new SealgateError({
      code: 'command.publish-incomplete',
      duration: 'temporary',
      publicText: `Without all keys the records would not be complete, so none are written. ${problem}`,
    });
  }
  const chosen = people.filter(({ address }) => wanted === null || address.endsWith(`@${wanted}`));
  for (const address of withoutName(chosen)) {
    process.stderr.write(`${addressText(address)} is left out: its name would be too long for DNS.\n`);
  }
  const text = zoneText(chosen, { ttl, generic: generic === true });
  await writeOutput({ out, ...(force === undefined ? {} : { force }) }, Buffer.from(text, 'utf8'));
}

/** Whatever fails, no thread or key process keeps the command from ending. */
async function published(file: string | undefined): Promise<Found> {
  const config = await readConfig(configPath(file));
  const opening = { config, log: silentLog, clock: () => new Date() };
  await using opened = new AsyncDisposableStack();
  const store = opened.adopt(await openSqliteAsItIs(config.directory.file), (one) => one.close());
  const keys = opened.adopt(await keysWithoutLogin(config, store), (one) => one.close());
  const revocation = opened.adopt(await openRevocationFor(opening, await loadTrust(config.trust)), (one) =>
    one.close(),
  );
  const all = publishedPeople(opening, { keys, standing: revocation.standing });
  return { people: await peopleNow(all), withheld: await all.withheld(), unseen: keys.unseen };
}

async function peopleNow(all: PublishedPeople): Promise<readonly ZonePerson[]> {
  const people = await Promise.all(
    all.all.map(async (person) => ({ address: person.address, certificates: await all.current(person) })),
  );
  return people.filter(({ certificates }) => certificates.length > 0);
}

function personLines({ address, certificates }: ZonePerson): string[] {
  return [
    addressText(address),
    ...certificates.map(
      (certificate) =>
        `  ${usesOf(certificate).join(', ')}: ${nameForPeople(certificate.subject)}, until ${day(certificate.notAfter)}, ${certificate.fingerprint}`,
    ),
  ];
}

function withheldLines({ address, certificate, why }: Withheld): string[] {
  return [
    `not published: ${addressText(address)}`,
    `  ${nameForPeople(certificate.subject)}, ${certificate.fingerprint}: ${why}`,
  ];
}

function certificateJson(certificate: Certificate) {
  const { fingerprint, subject, issuer, notBefore, notAfter } = certificate;
  return {
    ...{ fingerprint, subject: subject.text, issuer: issuer.text, notBefore, notAfter },
    uses: usesOf(certificate),
  };
}

function usesOf(certificate: Certificate): ('encrypt' | 'sign')[] {
  const at = new Date();
  return [
    ...(mayCertificateEncrypt(certificate, at).kind === 'may' ? (['encrypt'] as const) : []),
    ...(mayCertificateSign(certificate, at).kind === 'may' ? (['sign'] as const) : []),
  ];
}

/** @throws SealgateError `command.domain` */
function domainOf(text: string): string {
  const mailbox = parseMailbox(`x@${text}`);
  if (mailbox !== null) return mailbox.domain;
  throw new SealgateError({
    code: 'command.domain',
    duration: 'permanent',
    publicText: `${JSON.stringify(text)} is not a domain; one like example.org is expected.`,
  });
}

function seconds(text: string): number {
  const value = Number(text);
  // RFC 2181 §8.
  if (/^\d{1,10}$/.test(text) && value <= 2 ** 31 - 1) return value;
  throw new InvalidArgumentError('A number of seconds is expected.');
}
