import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import type { AnswerTo, SlotDescription, TokenOnSlot } from '../hsm/management-messages.ts';
import { printable } from '../log/printable.ts';
import { type CardKey, cardKeys, keyJson, keyLines } from './card-keys.ts';
import { type CardProblem, pinProblems, problem, serviceProblems } from './card-problems.ts';
import { usesReaders } from './known-modules.ts';
import { askToken, type TokenOptions, type TokenPlace, tokenPlaces } from './token-options.ts';
import { pinText, tokenName } from './token-text.ts';

/** What `sealgate card status` finds out: readers, cards, keys, and what is wrong, each with what to do. */

export type CardStatus = {
  modules: readonly ModuleStatus[];
  problems: readonly CardProblem[];
};

type ModuleStatus = {
  file: string;
  module: AnswerTo<'list'>['module'] | null;
  readers: readonly ReaderStatus[];
};

type ReaderStatus = { slot: SlotDescription; keys: readonly CardKey[] };

/** Nothing that is wrong with cards, readers or modules is thrown: it is among the problems. */
export async function cardStatus(
  options: TokenOptions,
  config: Config | null,
  at: Date,
): Promise<CardStatus> {
  let places: readonly TokenPlace[];
  try {
    places = cardPlaces(await tokenPlaces(options, config), options, config);
  } catch (error) {
    if (!(error instanceof SealgateError) || error.code !== 'key.module-absent') throw error;
    return { modules: [], problems: [problem(error.code, error.publicText)] };
  }
  if (places.length === 0) {
    const text =
      'No PKCS#11 library for cards is installed: install OpenSC (“apt-get install opensc pcscd” on Debian and Ubuntu, “dnf install opensc pcsc-lite” on Fedora and Red Hat), or the software of the card’s issuer and name its library with --module.';
    return { modules: [], problems: [problem('module-missing', text)] };
  }
  const found = await Promise.all(places.map((place) => placeStatus(place, config, at)));
  return {
    modules: found.map(({ status }) => status),
    problems: distinct(found.flatMap(({ problems }) => problems)),
  };
}

/** Nobody who asks for his card wants to hear of the libraries of other tokens that are installed too. */
function cardPlaces(
  places: readonly TokenPlace[],
  { module, token }: TokenOptions,
  config: Config | null,
): readonly TokenPlace[] {
  if (module !== undefined || token !== undefined || config !== null) return places;
  return places.filter((place) => usesReaders(place.module));
}

/** Certificates of one person are about the same in many ways. */
function distinct(problems: readonly CardProblem[]): CardProblem[] {
  return [...new Map(problems.map((one) => [one.text, one])).values()];
}

async function placeStatus(place: TokenPlace, config: Config | null, at: Date) {
  const { module: file } = place;
  let listing: AnswerTo<'list'>;
  try {
    listing = await askToken<'list'>(place, { kind: 'list' });
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    const problems = [problem(error.code, error.publicText), ...(await serviceProblems(file))];
    return { status: { file, module: null, readers: [] }, problems };
  }
  const readers = listing.slots
    .filter((slot) => isMeant(slot, place))
    .map((slot) => ({
      slot,
      keys: slot.state.kind === 'token' ? cardKeys(slot.state.token, config, at) : [],
    }));
  // A second reader that is empty is in nobody's way.
  const hasCard = readers.some(({ slot }) => slot.state.kind !== 'empty');
  const problems = [
    ...(readers.length === 0 ? await noReader(file, listing.slots.length > 0) : []),
    ...readers.flatMap(({ slot, keys }) => [
      ...(slot.state.kind === 'empty' && hasCard ? [] : slotProblems(slot)),
      ...keys.flatMap((key) => key.problems),
    ]),
  ];
  return { status: { file, module: listing.module, readers }, problems };
}

/** Readers without a card are shown too: the card that is meant may belong there. */
function isMeant({ reader, state }: SlotDescription, { token }: TokenPlace): boolean {
  if (token.reader !== null && token.reader !== reader) return false;
  if (state.kind !== 'token') return true;
  const { label, serial, model, manufacturer } = state.token;
  return (
    (token.label === null || token.label === label) &&
    (token.serial === null || token.serial === serial) &&
    (token.model === null || token.model === model) &&
    (token.manufacturer === null || token.manufacturer === manufacturer)
  );
}

async function noReader(file: string, others: boolean): Promise<CardProblem[]> {
  if (others) {
    return [
      problem('no-card', 'The card or token that is meant is not there: insert it, or correct --token.'),
    ];
  }
  const service = await serviceProblems(file);
  if (service.length > 0) return service;
  return [
    problem(
      'no-reader',
      'No card reader is found: plug it in; if it is, look whether “pcsc_scan” (package pcsc-tools) sees it, and install its driver (for most readers the package libccid or ccid).',
    ),
  ];
}

function slotProblems({ reader, state }: SlotDescription): CardProblem[] {
  const name = printable(reader);
  switch (state.kind) {
    case 'empty':
      return [
        problem('no-card', `No card is in the reader ${name}: insert it, with the chip towards the reader.`),
      ];
    case 'unknown':
      return [
        problem(
          'card-unknown',
          `The card in the reader ${name} is not known to this module (${printable(state.reason)}): turn it around if it is upside down; else use the PKCS#11 library of the card’s issuer with --module.`,
        ),
      ];
    case 'token':
      return tokenProblems(state.token);
  }
}

function tokenProblems(token: TokenOnSlot): CardProblem[] {
  if (!token.initialised) {
    return [problem('not-initialised', 'The token is not set up yet: “sealgate token init” does that.')];
  }
  const none =
    token.certificates.length === 0
      ? [
          problem(
            'no-certificate',
            `No certificate is on ${tokenName(token)}: write the one you were given to it with “sealgate keys import”, or name its file in the configuration (certificates of the key source).`,
          ),
        ]
      : [];
  return [...pinProblems(token), ...none];
}

export function statusLines({ modules, problems }: CardStatus): string[] {
  const lines = modules.flatMap(({ file, module, readers }) => [
    `module       ${printable(file)}${module === null ? '' : ` (${printable(`${module.description} ${module.version}`)})`}`,
    ...readers.flatMap(readerLines),
  ]);
  const inOrder = problems.every(({ severity }) => severity === 'hint') ? ['Everything is in order.'] : [];
  if (problems.length === 0) return [...lines, ...inOrder];
  return [...lines, ...inOrder, 'What to do:', ...problems.map(({ text }, at) => `  ${at + 1}. ${text}`)];
}

function readerLines({ slot, keys }: ReaderStatus): string[] {
  const reader = `reader       ${printable(slot.reader)}`;
  switch (slot.state.kind) {
    case 'empty':
      return [reader, '  card       none'];
    case 'unknown':
      return [reader, '  card       unknown to this module'];
    case 'token': {
      const { token } = slot.state;
      return [
        reader,
        `  card       ${tokenName(token)}`,
        `  PIN        ${token.pinPad ? 'typed on the reader; ' : ''}${pinText(token.pin)}`,
        ...keys.flatMap((key) => keyLines(key).map((line) => `  ${line}`)),
      ];
    }
  }
}

export function statusJson({ modules, problems }: CardStatus) {
  return {
    modules: modules.map(({ file, module, readers }) => ({
      ...{ file, module },
      readers: readers.map(({ slot, keys }) => ({
        reader: slot.reader,
        card: cardJson(slot.state),
        keys: keys.map(keyJson),
      })),
    })),
    problems,
  };
}

function cardJson(state: SlotDescription['state']) {
  if (state.kind !== 'token') return { state: state.kind };
  const { label, serial, model, manufacturer, initialised, pin, soPin, pinPad } = state.token;
  return { state: state.kind, label, serial, model, manufacturer, initialised, pin, soPin, pinPad };
}
