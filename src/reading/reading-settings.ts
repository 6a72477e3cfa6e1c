import type { RenderPolicy, ViewForm } from '../mail-view/render.ts';

/** How decrypted mail is shown, as the configuration has it. */
export type ReadingSettings = {
  /** For whom no profile is. */
  form: ViewForm;
  /** The first that fits counts. */
  profiles: readonly ReadingProfile[];
  /** How many messages of a mailbox that is seen for the first time are opened, the newest; null: all. */
  backlog: number | null;
  policy: RenderPolicy;
  /** What clear-signed mail has in its header; absent: what is stored. */
  clearSignedStatus?: 'off' | 'header';
  /** Whether it is asked for whom encrypted messages are before they are listed; absent: `shell-first`, it is not. */
  foreign?: 'shell-first' | 'peek-first';
};

/** What is said must hold; null: whoever it is. */
export type ReadingProfile = {
  logins: readonly string[] | null;
  /** Names that clients give themselves (RFC 2971), `*` standing for anything, in any case. */
  clients: readonly string[] | null;
  networks: { has(address: string): boolean } | null;
  form: ViewForm;
};

export type ReadBy = {
  login: string;
  /** null: it has not said. */
  client: string | null;
  /** Where it comes from; null: nobody knows. */
  address: string | null;
};

export const usualReading: ReadingSettings = {
  form: { shell: 'wrapped', padding: 'on' },
  profiles: [],
  backlog: null,
  policy: { unauthenticated: 'warn', protectedHeaders: 'promote' },
};

export function formFor({ form, profiles }: ReadingSettings, by: ReadBy): ViewForm {
  return profiles.find((profile) => fits(profile, by))?.form ?? form;
}

function fits({ logins, clients, networks }: ReadingProfile, { login, client, address }: ReadBy): boolean {
  if (logins !== null && !logins.includes(login)) return false;
  if (clients !== null && (client === null || !clients.some((pattern) => matches(pattern, client))))
    return false;
  return networks === null || (address !== null && networks.has(address));
}

/** Piece by piece from the left, which needs no more time than the text is long for each piece. */
function matches(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.toLowerCase().split('*');
  const name = text.toLowerCase();
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last))
    return false;
  let at = first.length;
  for (const piece of rest) {
    const found = name.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return at + last.length <= name.length;
}
