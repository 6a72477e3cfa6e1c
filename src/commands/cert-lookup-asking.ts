import { addressKey } from '../directory/address-key.ts';
import type { Asked } from '../directory/remote/asked-source.ts';
import { type Away, sourcesAway } from '../directory/remote/away.ts';
import type { RemoteSource } from '../directory/remote/remote-source.ts';
import { SealgateError } from '../errors.ts';
import { openDirectory } from '../gateway/directory.ts';
import { loadTrust } from '../gateway/trust.ts';
import { silentLog } from '../log/log.ts';
import { printable } from '../log/printable.ts';
import { nameForPeople } from '../pki/name.ts';
import { type CertOptions, withDirectory } from './cert-options.ts';
import { addressText, day } from './cert-text.ts';
import { jsonText } from './json-output.ts';

type SourceAsked = {
  source: RemoteSource;
  /** null: the address is not one that it is for. */
  asked: Asked | null;
  /** The gateway does not ask it just now; null: it does. */
  away: Away | null;
};

/** @throws SealgateError `command.address`, `directory.unavailable` */
export async function lookUp(address: string, options: CertOptions): Promise<void> {
  const key = addressKey(address);
  if (key === null) {
    throw new SealgateError({
      code: 'command.address',
      duration: 'permanent',
      publicText: `${JSON.stringify(address)} is not a mail address; one like alice@example.org is expected.`,
    });
  }
  const found = await withDirectory(options, async ({ config, store, certificates, pinned }) => {
    const trust = await loadTrust(config.trust);
    const directory = await openDirectory(
      { config, log: silentLog, clock: () => new Date() },
      { certificates, pinned, trust, outages: null },
    );
    const away = await sourcesAway(store);
    return (await directory.askRemote(key)).map(
      (one): SourceAsked => ({ ...one, away: away.find(({ source }) => source === one.source.name) ?? null }),
    );
  });
  process.stdout.write(
    options.json
      ? `${jsonText(lookupJson(key.exact, found))}\n`
      : `${lookupLines(key.exact, found).join('\n')}\n`,
  );
}

function lookupLines(address: string, found: readonly SourceAsked[]): string[] {
  if (found.length === 0) return ['No source is configured (directory.sources).'];
  return [
    addressText(address),
    ...found.flatMap(({ source, asked, away }) => [
      `  ${source.name} (${source.kind}${source.optional ? ', optional' : ''}): ${answerText(asked)}`,
      ...(asked?.kind === 'answered'
        ? asked.answer.certificates.map(
            ({ subject, notAfter, fingerprint }) =>
              `    ${nameForPeople(subject)}, until ${day(notAfter)}, ${fingerprint}`,
          )
        : []),
      ...(away === null
        ? []
        : [
            `    the gateway has given it up for a while since ${away.since.toISOString()}: ${printable(away.reason)}`,
          ]),
    ]),
  ];
}

function answerText(asked: Asked | null): string {
  if (asked === null) return 'not asked: it is for other domains';
  switch (asked.kind) {
    case 'answered': {
      const { certificates, passedOver, remark } = asked.answer;
      if (remark !== undefined) return `nothing (${asked.milliseconds} ms): ${remark}`;
      const useless = passedOver === 0 ? '' : `, ${passedOver} that cannot be used for it`;
      return `${certificates.length} found${useless} (${asked.milliseconds} ms)`;
    }
    case 'failed':
      return `NO ANSWER after ${asked.milliseconds} ms: ${asked.reason}`;
    case 'not-asked':
      return `NOT ASKED: ${asked.reason}`;
  }
}

function lookupJson(address: string, found: readonly SourceAsked[]) {
  return {
    address,
    sources: found.map(({ source: { name, kind, optional, trust }, asked, away }) => ({
      ...{ name, kind, optional, trust },
      outcome: asked?.kind ?? 'other-domain',
      milliseconds: asked === null || asked.kind === 'not-asked' ? null : asked.milliseconds,
      reason: asked === null || asked.kind === 'answered' ? null : asked.reason,
      passedOver: asked?.kind === 'answered' ? asked.answer.passedOver : null,
      remark: asked?.kind === 'answered' ? (asked.answer.remark ?? null) : null,
      certificates:
        asked?.kind === 'answered'
          ? asked.answer.certificates.map(({ fingerprint, subject, issuer, notBefore, notAfter }) => ({
              ...{ fingerprint, subject: subject.text, issuer: issuer.text, notBefore, notAfter },
            }))
          : [],
      breaker: away === null ? { open: false } : { open: true, since: away.since, reason: away.reason },
    })),
  };
}
