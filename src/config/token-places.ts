import { isDeepStrictEqual } from 'node:util';
import type * as z from 'zod';
import type { UriPlace } from '../hsm/pkcs11-uri-place.ts';
import type { PinSource, TokenSource } from '../hsm/source-kinds.ts';
import type { Files } from './files.ts';

/** From the settings of a token, as they are written, to the place that a key process opens. */

/** null: not said. */
type WrittenToken = {
  module: string | null;
  token: string | null;
  serial: string | null;
  reader?: string | null;
  uri: UriPlace | null;
  pin: PinSource | null;
};

type Common = {
  environment: Readonly<Record<string, string>>;
  initArgs: string | null;
  certificates: readonly string[];
};

type Context = Pick<z.core.$RefinementCtx, 'addIssue'>;

/** Where packages of OpenSC put its PKCS#11 library. */
const OPENSC: readonly string[] = [
  '/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so',
  '/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so',
  '/usr/lib64/opensc-pkcs11.so',
  '/usr/lib64/pkcs11/opensc-pkcs11.so',
  '/usr/lib/opensc-pkcs11.so',
  '/usr/lib/pkcs11/opensc-pkcs11.so',
  '/usr/local/lib/opensc-pkcs11.so',
  '/Library/OpenSC/lib/opensc-pkcs11.so',
];

/** One place for each token of `kind: pkcs11`. What is wrong is told to `context`. */
export function tokenPlaces(
  written: WrittenToken & Common & { sessions: number; tokens: readonly WrittenToken[] },
  files: Files,
  context: Context,
): TokenSource[] {
  const { tokens, sessions } = written;
  if (tokens.length === 0) {
    const place = hsmPlace(written, { ...written, sessions }, files, context, []);
    return place === null ? [] : [place];
  }
  for (const key of ['token', 'serial', 'uri'] as const) {
    if (written[key] !== null) tell(context, [key], 'the tokens are named in tokens: leave this out here');
  }
  const places = tokens.map((one, i) => {
    const inherits = {
      ...one,
      module: one.module ?? (saysModule(one) ? null : written.module),
      pin: one.pin ?? (saysPin(one) ? null : written.pin),
    };
    return hsmPlace(inherits, { ...written, sessions }, files, context, ['tokens', i]);
  });
  for (const [i, place] of places.entries()) {
    const earlier = places.findIndex((other) => isSamePlace(other, place));
    if (place !== null && earlier < i)
      tell(context, ['tokens', i], `tokens[${earlier}] is this token already`);
  }
  return places.filter((place) => place !== null);
}

/** The place of `kind: card`. What is wrong is told to `context`. */
export function cardPlace(written: WrittenToken & Common, files: Files, context: Context): TokenSource[] {
  const said = whatIsSaid(written, files, context, []);
  const module = said.module ?? files.firstInstalled(OPENSC);
  if (module === null) {
    const text =
      'OpenSC is not installed here: install it, or name the PKCS#11 library of the card as module';
    tell(context, [], text);
    return [];
  }
  const pin = said.pin ?? ({ ask: 'pinentry', program: null } as const);
  return [placeOf(written, { ...written, sessions: 1 }, { module, pin, removable: true })];
}

function hsmPlace(
  written: WrittenToken,
  common: Common & { sessions: number },
  files: Files,
  context: Context,
  path: readonly PropertyKey[],
): TokenSource | null {
  const { module, pin } = whatIsSaid(written, files, context, path);
  if (module === null) {
    const text = "this is missing: the path of the vendor's PKCS#11 library is expected";
    tell(context, [...path, 'module'], text);
  }
  if (pin === null) {
    const text = 'this is missing: { file: path }, { env: NAME } or { ask: pinentry } is expected';
    tell(context, [...path, 'pin'], text);
  }
  if (written.uri === null && written.token === null && written.serial === null) {
    const text = 'this is missing: the label of the token is expected, or serial or uri in its place';
    tell(context, [...path, 'token'], text);
  } else if (written.uri !== null && written.uri.token.label === null && written.uri.token.serial === null) {
    tell(context, [...path, 'uri'], 'this URI does not say which token: token or serial is expected in it');
  }
  if (module === null || pin === null) return null;
  return placeOf(written, common, { module, pin, removable: false });
}

/** Module and PIN, from the URI or beside it; each is said at most once. */
function whatIsSaid(
  { uri, module, pin, token, serial, reader }: WrittenToken,
  files: Files,
  context: Context,
  path: readonly PropertyKey[],
): { module: string | null; pin: PinSource | null } {
  if (uri === null) return { module, pin };
  for (const [key, value] of Object.entries({ token, serial, reader })) {
    if (value != null)
      tell(context, [...path, key], 'uri names the token: write this into it, or leave uri out');
  }
  if (uri.module !== null) {
    if (module !== null) tell(context, [...path, 'module'], 'uri has a module-path: leave one of them out');
    tellProblem(files.problemWith(uri.module, 'program-file'));
  }
  if (uri.pinFile !== null) {
    if (pin !== null) tell(context, [...path, 'pin'], 'uri has a pin-source: leave one of them out');
    tellProblem(files.problemWithSecret(uri.pinFile));
  }
  return { module: uri.module ?? module, pin: uri.pinFile === null ? pin : { file: uri.pinFile } };

  function tellProblem(problem: string | null): void {
    if (problem !== null) tell(context, [...path, 'uri'], problem);
  }
}

function placeOf(
  { uri, token, serial, reader }: WrittenToken,
  { environment, initArgs, certificates, sessions }: Common & { sessions: number },
  found: { module: string; pin: PinSource; removable: boolean },
): TokenSource {
  return {
    kind: 'token',
    ...found,
    ...{ environment, certificates, sessions },
    ...(initArgs === null ? {} : { initArgs }),
    token: uri?.token ?? {
      ...{ label: token, serial, reader: reader ?? null },
      ...{ model: null, manufacturer: null },
    },
    objects: uri?.objects ?? { object: null, id: null },
  };
}

function saysModule({ uri }: WrittenToken): boolean {
  return uri !== null && uri.module !== null;
}

function saysPin({ uri }: WrittenToken): boolean {
  return uri !== null && uri.pinFile !== null;
}

function isSamePlace(one: TokenSource | null, other: TokenSource | null): boolean {
  return (
    one !== null &&
    other !== null &&
    one.module === other.module &&
    isDeepStrictEqual([one.token, one.objects], [other.token, other.objects])
  );
}

function tell(context: Context, path: readonly PropertyKey[], message: string): void {
  context.addIssue({ code: 'custom', path: [...path], message });
}
