import type { Config } from '../config/load.ts';
import type { TokenOnSlot } from '../hsm/management-messages.ts';
import { printable } from '../log/printable.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateEncrypt, mayCertificateSign } from '../pki/key-purpose.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import { type CardProblem, hint, problem } from './card-problems.ts';
import { certificateJson, certificateLines, day, readable } from './token-text.ts';

/** A certificate on a card and what its key may do, as far as that is seen without the PIN. */
export type CardKey = {
  label: string;
  id: string;
  certificate: Certificate | null;
  /** null: it may; else why not, a sentence. */
  signs: { may: true; how: readonly string[] } | { may: false; why: string };
  opens: { may: true; how: readonly string[] } | { may: false; why: string };
  /** Logins of the configuration that write from one of its addresses; null: no configuration. */
  logins: readonly string[] | null;
  problems: readonly CardProblem[];
};

/** Warned of so long before. */
const SOON_MS = 30 * 24 * 3_600_000;

/** Certificates of authorities are on cards for the chain and no keys. */
export function cardKeys(token: TokenOnSlot, config: Config | null, at: Date): CardKey[] {
  return token.certificates.flatMap(({ label, id, certificate: der }) => {
    const certificate = readable(der);
    if (certificate?.basicConstraints?.cA === true && token.certificates.length > 1) return [];
    return [describe({ label, id, certificate }, token, config, at)];
  });
}

function describe(
  { label, id, certificate }: Pick<CardKey, 'label' | 'id' | 'certificate'>,
  token: TokenOnSlot,
  config: Config | null,
  at: Date,
): CardKey {
  if (certificate === null) {
    const why = 'The certificate cannot be read.';
    const problems = [
      problem(
        'certificate-unreadable',
        `The certificate “${printable(label)}” cannot be read: ask its issuer for a new one.`,
      ),
    ];
    return {
      label,
      id,
      certificate,
      signs: { may: false, why },
      opens: { may: false, why },
      logins: null,
      problems,
    };
  }
  const kind = certificate.keyAlgorithm === RSA ? 'RSA' : 'EC';
  const ways = (names: readonly string[]) =>
    names.filter((name) => name.startsWith('RSA') === (kind === 'RSA'));
  const logins = config === null ? null : loginsOf(certificate, config);
  return {
    ...{ label, id, certificate, logins },
    signs: ability(mayCertificateSign(certificate, at), ways(token.abilities.signs)),
    opens: ability(mayCertificateEncrypt(certificate, at), ways(token.abilities.opens)),
    problems: certificateProblems(certificate, logins, at),
  };
}

const RSA = '1.2.840.113549.1.1.1';

function ability(verdict: ReturnType<typeof mayCertificateSign>, how: readonly string[]): CardKey['signs'] {
  if (verdict.kind === 'may-not') return { may: false, why: verdict.text };
  if (how.length === 0) return { may: false, why: 'The card has no mechanism for it.' };
  return { may: true, how };
}

function loginsOf(certificate: Certificate, { principals }: Config): string[] {
  return principals.list
    .filter(({ addresses }) => addresses.some((address) => speaksFor(certificate, address)))
    .map(({ login }) => login);
}

/** @param logins as in CardKey */
export function certificateProblems(
  certificate: Certificate,
  logins: readonly string[] | null,
  at: Date,
): CardProblem[] {
  const { notBefore, notAfter, mailboxes } = certificate;
  const whose = `The certificate of ${printable(certificate.subject.text)}`;
  const found: CardProblem[] = [];
  if (notAfter < at) {
    found.push(
      problem(
        'certificate-expired',
        `${whose} expired on ${day(notAfter)}: ask its issuer for a new one; mail of old times still opens with it.`,
      ),
    );
  } else if (notAfter.getTime() - at.getTime() < SOON_MS) {
    found.push(
      hint(
        'certificate-expires-soon',
        `${whose} expires on ${day(notAfter)}: ask its issuer for a new one now.`,
      ),
    );
  }
  if (notBefore > at) {
    found.push(
      problem(
        'certificate-not-yet-valid',
        `${whose} is valid only from ${day(notBefore)}: look at this machine’s clock, or wait.`,
      ),
    );
  }
  if (mailboxes.length === 0) {
    found.push(
      problem(
        'certificate-without-address',
        `${whose} names no mail address, so no mail can be signed with it: ask its issuer for one that names yours.`,
      ),
    );
  } else if (logins !== null && logins.length === 0) {
    found.push(
      problem(
        'address-not-configured',
        `${whose} is for ${mailboxes.map(printable).join(', ')}, and no login of the configuration writes from there: add the address to “addresses” of the login in principals.list, or use the card of the right person.`,
      ),
    );
  }
  return found;
}

export function keyLines({ label, certificate, signs, opens, logins, problems }: CardKey): string[] {
  const said = (one: CardKey['signs'], yes: string) =>
    one.may ? `${yes} (${one.how.join(', ')})` : `no: ${one.why}`;
  return [
    `key        ${label === '' ? 'without a name' : printable(label)}`,
    ...certificateLines(certificate).map((line) => `  ${line}`),
    `  signs      ${said(signs, 'yes')}`,
    `  opens mail ${said(opens, 'yes')}`,
    ...(logins === null
      ? []
      : [`  logins     ${logins.length === 0 ? 'none' : logins.map(printable).join(', ')}`]),
    ...problems.map(({ code }) => `  problem    ${code}`),
  ];
}

export function keyJson({ certificate, ...key }: CardKey) {
  return { ...key, certificate: certificateJson(certificate) };
}
