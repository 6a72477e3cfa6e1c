import type { CrossProblem } from './cross-checks.ts';
import { keyChecks, sourceOf, unknownKey } from './key-checks.ts';
import type { ConfiguredKey } from './key-stores.ts';
import { queueReferences } from './queue-checks.ts';
import type { Sections } from './schema.ts';

/** What is wrong with who may do what: logins, their addresses, keys and profiles. */

type Principals = Sections['principals'];
type Principal = Principals['list'][number];

export function principalChecks(config: Partial<Sections>): CrossProblem[] {
  const { principals, keys } = config;
  if (principals === undefined) return keyChecks(keys ?? [], null);
  const problems: CrossProblem[] = [];
  const logins = new Map<string, number>();
  const given: Given[] = [];
  for (const [i, principal] of principals.list.entries()) {
    const path = ['principals', 'list', i];
    const earlier = logins.get(principal.login);
    if (earlier !== undefined) {
      const text = `principals.list[${earlier}] is this login already: put its addresses and keys together`;
      problems.push({ path: [...path, 'login'], severity: 'error', text });
    }
    logins.set(principal.login, i);
    for (const [j, reference] of principal.keys.entries()) {
      const place = [...path, 'keys', j];
      problems.push(
        ...unknownKey(reference, keys, place),
        ...sharing(reference, principal, given, keys, place),
      );
      given.push({ reference, login: principal.login });
    }
    problems.push(...profileChecks(principal, principals, keys, path));
    if (principal.addresses.length === 0 && !ownsItsName(principal, principals)) {
      problems.push({
        path,
        severity: 'warning',
        text: 'this login has no address: it can read mail but send none',
      });
    }
  }
  const ofQueue = queueReferences(config);
  const ofLogins = given.map(({ reference }) => reference);
  problems.push(...keyChecks(keys ?? [], ofQueue === null ? null : [...ofLogins, ...ofQueue]));
  if (principals.list.length === 0 && !principals.loginIsAddress && (config.submission ?? []).length > 0) {
    const text = 'no login has an address: every mail will be refused';
    problems.push({ path: ['principals'], severity: 'warning', text });
  }
  return problems;
}

type Given = { reference: string; login: string };

/** The same key, or keys among which it is, for two logins: what is encrypted to one of them the other one reads. */
function sharing(
  reference: string,
  { login }: Principal,
  given: readonly Given[],
  keys: readonly ConfiguredKey[] | undefined,
  path: CrossProblem['path'],
): CrossProblem[] {
  const other = given.find((one) => one.login !== login && overlaps(one.reference, reference));
  const name = sourceOf(reference);
  const source = keys?.find((key) => key.name === name);
  if (other === undefined || source?.shared === true) return [];
  if (source?.places.some((place) => place.kind === 'token' && place.removable) === true) {
    const text = `the card ${name} is also given to the login ${other.login}: each could read what is encrypted to the other. Name different keys of it, or say shared: true`;
    return [{ path, severity: 'error', text }];
  }
  const whole = [reference, other.reference].includes(name);
  if (whole && source?.places.some(({ kind }) => kind === 'token' || kind === 'store') === true) {
    const what = source.places.some(({ kind }) => kind === 'store') ? 'key store' : 'token';
    const text = `the login ${other.login} has keys of the ${what} ${name} too, and one of the two has all of it: name single keys, ${name}/LABEL, or each could read what is encrypted to the other`;
    return [{ path, severity: 'error', text }];
  }
  const text = `the key ${reference} is also given to the login ${other.login}: each can read what is encrypted to the other`;
  return [{ path, severity: 'warning', text }];
}

/** `hsm` is all keys of hsm, so also `hsm/alice`, and `hsm/alice (0a1b2c3d)` in log lines is one of those called alice. */
function overlaps(one: string, other: string): boolean {
  if (sourceOf(one) !== sourceOf(other)) return false;
  return (
    one === other ||
    withoutFingerprint(one) === other ||
    one === withoutFingerprint(other) ||
    one === sourceOf(one) ||
    other === sourceOf(other)
  );
}

function withoutFingerprint(reference: string): string {
  return reference.replace(/ \([0-9a-f]{8}\)$/, '');
}

function profileChecks(
  principal: Principal,
  principals: Principals,
  keys: readonly ConfiguredKey[] | undefined,
  path: CrossProblem['path'],
): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const addresses = new Map<string, number>();
  const owned = new Set(principal.addresses.map(canonical));
  if (ownsItsName(principal, principals)) owned.add(canonical(principal.login));
  for (const [i, profile] of principal.profiles.entries()) {
    const at = [...path, 'profiles', i];
    const address = canonical(profile.address);
    const earlier = addresses.get(address);
    if (earlier !== undefined) {
      const text = `profiles[${earlier}] is about this address already`;
      problems.push({ path: [...at, 'address'], severity: 'error', text });
    }
    addresses.set(address, i);
    if (!owned.has(address)) {
      const text = `the login ${principal.login} may not write from this address: add it to addresses`;
      problems.push({ path: [...at, 'address'], severity: 'error', text });
    }
    if (Object.entries(profile).every(([name, value]) => name === 'address' || value === null)) {
      const text = 'this profile says nothing: sign, encrypt, rsaSignature or rsaKeyTransport is expected';
      problems.push({ path: at, severity: 'warning', text });
    }
    for (const purpose of ['sign', 'encrypt'] as const) {
      const reference = profile[purpose];
      if (reference !== null) {
        problems.push(...profileKey(reference, purpose, principal, keys, [...at, purpose]));
      }
    }
  }
  return problems;
}

function profileKey(
  reference: string,
  purpose: 'sign' | 'encrypt',
  principal: Principal,
  keys: readonly ConfiguredKey[] | undefined,
  path: CrossProblem['path'],
): CrossProblem[] {
  const name = sourceOf(reference);
  const unknown = unknownKey(reference, keys, path);
  if (unknown.length > 0) return unknown;
  if (!principal.keys.some((own) => own === reference || own === name)) {
    const text = `the login ${principal.login} may not use this key: add it to keys`;
    return [{ path, severity: 'error', text }];
  }
  const use = keys?.find((key) => key.name === name)?.use;
  const unfit = purpose === 'sign' ? 'decrypt' : 'sign';
  if (use !== unfit) return [];
  const what = purpose === 'sign' ? 'cannot sign' : 'cannot open what is encrypted to it';
  return [{ path, severity: 'error', text: `the key ${name} says use: ${use}, so it ${what}` }];
}

function ownsItsName({ login }: Principal, { loginIsAddress }: Principals): boolean {
  return loginIsAddress && login.includes('@');
}

/** As addresses are compared: the local part exactly, the domain without case. */
function canonical(address: string): string {
  const at = address.lastIndexOf('@');
  return address.slice(0, at + 1) + address.slice(at + 1).toLowerCase();
}
