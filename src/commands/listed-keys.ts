import type { SignatureScheme } from '../cms/keys.ts';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import type { KeyDescription } from '../hsm/inventory.ts';
import type { KeySource, SoftwareSource, TokenSource } from '../hsm/source-kinds.ts';
import { printable } from '../log/printable.ts';
import type { Certificate } from '../pki/certificate.ts';
import { certificateProblems } from './card-keys.ts';
import { type CardProblem, problem } from './card-problems.ts';
import { kindOf } from './key-kind.ts';
import { loginsWith } from './key-logins.ts';
import { openPlace, placeProblem, withoutLogin } from './key-places.ts';
import { openConfiguredStore } from './key-store-options.ts';
import { listStore } from './listed-store.ts';
import { certificateJson, certificateLines, readable } from './token-text.ts';

/** A source of keys and what is in it, for `keys list`. */
export type ListedSource = {
  name: string;
  use: KeySource['use'] | null;
  /** Where, one entry each, for people. */
  places: readonly string[];
  keys: readonly ListedKey[];
  problems: readonly CardProblem[];
};

export type ListedKey = {
  name: string;
  kind: string;
  certificate: Certificate | null;
  /** Ways to sign and to open, by name. */
  signs: readonly string[];
  opens: readonly string[];
  exportable: 'yes' | 'no' | 'not told';
  where: string;
  /** Logins that may use it; null: no configuration. */
  logins: readonly string[] | null;
  problems: readonly CardProblem[];
};

/** Never fails for what is wrong with a place: that is among the problems. */
export async function listSource(source: KeySource, config: Config, at: Date): Promise<ListedSource> {
  const listed = await Promise.all(source.places.map((place) => listPlace(source, place, config, at)));
  return {
    name: source.name,
    use: source.use,
    places: source.places.map(placeForPeople),
    keys: listed.flatMap(({ keys }) => keys),
    problems: listed.flatMap(({ problems }) => problems),
  };
}

type Listed = Pick<ListedSource, 'keys' | 'problems'>;

async function listPlace(
  source: KeySource,
  place: TokenSource | SoftwareSource,
  config: Config,
  at: Date,
): Promise<Listed> {
  try {
    if (place.kind === 'store' && !('token' in place.unlock)) {
      const store = await openConfiguredStore(place);
      try {
        return await listStore(store, { name: source.name, config, at });
      } finally {
        store.close();
      }
    }
    return await listProcess(source, place, config, at);
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    return { keys: [], problems: [problem(error.code, error.publicText)] };
  }
}

async function listProcess(
  source: KeySource,
  spec: TokenSource | SoftwareSource,
  config: Config,
  at: Date,
): Promise<Listed> {
  const place = await openPlace(source.name, withoutLogin(spec));
  try {
    const wrong = placeProblem(place);
    if (wrong !== null) return { keys: [], problems: [problem(wrong.code, wrong.publicText)] };
    const { state } = place;
    const inventory = state.kind === 'open' || state.kind === 'locked' ? state.inventory : null;
    const where = placeForPeople(spec);
    const keys = (inventory?.keys ?? []).map((key) =>
      listedKey(key, { where, exportable: spec.kind === 'token' ? 'not told' : 'yes', source, config, at }),
    );
    return { keys, problems: [] };
  } finally {
    await place.close();
  }
}

function listedKey(
  key: KeyDescription,
  about: {
    where: string;
    exportable: ListedKey['exportable'];
    source: KeySource;
    config: Config;
    at: Date;
  },
): ListedKey {
  const { where, exportable, source, config, at } = about;
  const certificate = readable(key.certificate);
  const label = key.label === '' ? key.id : key.label;
  const name = source.places.every(({ kind }) => kind === 'pem') ? source.name : `${source.name}/${label}`;
  const logins = loginsWith(config, source.name, label);
  return {
    ...{ name, certificate, where, exportable, logins },
    kind: kindOf(certificate),
    signs: source.use === 'decrypt' ? [] : key.schemes.map(schemeName),
    opens: source.use === 'sign' ? [] : key.opens,
    problems: certificate === null ? [] : certificateProblems(certificate, logins, at),
  };
}

export function schemeName(scheme: SignatureScheme): string {
  return 'digest' in scheme ? `${scheme.kind} ${scheme.digest}` : scheme.kind;
}

function placeForPeople(place: TokenSource | SoftwareSource): string {
  switch (place.kind) {
    case 'pkcs12':
      return `PKCS#12 file ${place.file}`;
    case 'pem':
      return `PEM file ${place.key}`;
    case 'store':
      return `key store ${place.folder}`;
    case 'token': {
      const { label, serial, reader } = place.token;
      const which = label ?? serial ?? reader;
      return `${place.removable ? 'card' : 'token'}${which === null ? '' : ` ${which}`} (${place.module})`;
    }
  }
}

export function sourceLines({ name, use, places, keys, problems }: ListedSource): string[] {
  return [
    `${printable(name)}${use === null ? '' : ` (${use})`}`,
    ...places.map((place) => `  in         ${printable(place)}`),
    ...keys.flatMap((key) => keyLines(key).map((line) => `  ${line}`)),
    ...problems.map(problemLine),
  ];
}

function problemLine({ severity, text }: CardProblem): string {
  return `  ${severity === 'fault' ? 'PROBLEM' : 'note   '}    ${printable(text)}`;
}

function keyLines({
  name,
  kind,
  certificate,
  signs,
  opens,
  exportable,
  logins,
  problems,
}: ListedKey): string[] {
  const words = (ways: readonly string[]) => (ways.length === 0 ? 'no' : ways.join(', '));
  return [
    `key        ${printable(name)}`,
    `  kind       ${printable(kind)}`,
    ...(certificate === null ? [] : certificateLines(certificate).map((line) => `  ${line}`)),
    `  signs      ${words(signs)}`,
    `  opens      ${words(opens)}`,
    `  exportable ${exportable}`,
    ...(logins === null
      ? []
      : [`  logins     ${logins.length === 0 ? 'none' : logins.map(printable).join(', ')}`]),
    ...problems.map(problemLine),
  ];
}

export function sourceJson({ keys, ...source }: ListedSource) {
  return {
    ...source,
    keys: keys.map(({ certificate, ...key }) => ({ ...key, certificate: certificateJson(certificate) })),
  };
}
