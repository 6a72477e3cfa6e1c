import { limits } from '../limits.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import type { SqlStore, Statement } from '../store/sql-store.ts';
import { addressKey } from './address-key.ts';
import { askingDirectory, directoryBusy } from './asking.ts';
import {
  historyMark,
  insertCertificate,
  insertEntry,
  type Newcomer,
  publicKeyHash,
  selectDecision,
  selectDistrustOfKey,
  selectOfAddress,
  storedCertificate,
  storedDecision,
  updateSeen,
} from './certificate-rows.ts';
import { judgeNewcomer } from './change.ts';
import { decideUnderAddress } from './decisions.ts';
import type { Item } from './interchange/item.ts';
import { countsAgainstOthers } from './usable.ts';

/** How much what is imported is trusted: as the administrator says, and never more. */
export type ImportTrust = { trust: 'directory' } | { trust: 'pinned'; by: string; reason: string };

/** What became of one certificate, or of a place where none could be read. */
export type ImportOutcome =
  /** `addresses`: under which it is kept; `pending`: of those, where it waits for a review. */
  | {
      kind: 'taken';
      place: string;
      fingerprint: string;
      addresses: readonly string[];
      pending: readonly string[];
    }
  | { kind: 'known'; place: string; fingerprint: string }
  | { kind: 'refused'; place: string; fingerprint: string | null; why: string };

/** Certificates that are written at once: each writing waits for the disk. */
const AT_ONCE = 200;
const ATTEMPTS = 10;

type Wanted = { place: string; newcomer: Newcomer & { trust: 'directory' } };

/**
 * Takes certificates into the directory, each under every address that it names. One that is for an address with another certificate
 * is used at once only as change.ts allows, unless the administrator pins it. A certificate that could not be used anyway
 * (expired, of an authority, without an address, distrusted) is not taken.
 *
 * @throws SealgateError `directory.unavailable`
 */
export async function* importItems(
  items: AsyncIterable<Item>,
  { store, clock, as }: { store: SqlStore; clock: Clock; as: ImportTrust },
): AsyncGenerator<ImportOutcome> {
  let batch: { item: Item & { kind: 'certificate' }; wanted: readonly Wanted[] }[] = [];
  const addresses = new Set<string>();
  async function* written(): AsyncGenerator<ImportOutcome> {
    const done = await askingDirectory(() =>
      write(
        batch.flatMap(({ wanted }) => wanted),
        store,
        clock,
        as,
      ),
    );
    for (const { item, wanted } of batch) {
      const { place, certificate } = item;
      const states = wanted.map((one) => ({ address: one.newcomer.key.exact, state: done.get(one) }));
      const taken = states.filter(({ state }) => state === 'current' || state === 'pending');
      const { fingerprint } = certificate;
      if (taken.length > 0) {
        const pending = taken.filter(({ state }) => state === 'pending').map(({ address }) => address);
        yield { kind: 'taken', place, fingerprint, addresses: taken.map(({ address }) => address), pending };
      } else if (states.some(({ state }) => state === 'known')) yield { kind: 'known', place, fingerprint };
      else {
        yield {
          kind: 'refused',
          place,
          fingerprint,
          why: 'Too many certificates are known for its address.',
        };
      }
    }
    batch = [];
    addresses.clear();
  }
  for await (const item of items) {
    if (item.kind === 'problem') {
      yield { kind: 'refused', place: item.place, fingerprint: null, why: item.why };
      continue;
    }
    const why = await whyNot(item.certificate, store, clock);
    if (why !== null) {
      yield { kind: 'refused', place: item.place, fingerprint: item.certificate.fingerprint, why };
      continue;
    }
    const wanted = wantedOf(item.certificate, item.place);
    // What is read of an address must not be written by the same statements before.
    if (batch.length >= AT_ONCE || wanted.some(({ newcomer }) => addresses.has(newcomer.key.exact))) {
      yield* written();
    }
    for (const { newcomer } of wanted) addresses.add(newcomer.key.exact);
    batch.push({ item, wanted });
  }
  if (batch.length > 0) yield* written();
}

async function whyNot(certificate: Certificate, store: SqlStore, clock: Clock): Promise<string | null> {
  if (certificate.basicConstraints?.cA === true) return 'It is that of a certificate authority.';
  const { addressesOfCertificate } = limits.directory;
  if (certificate.mailboxes.length > addressesOfCertificate) {
    return `It names more than ${addressesOfCertificate} addresses.`;
  }
  if (wantedOf(certificate, '').length === 0) return 'It names no mail address (in its subjectAltName).';
  const at = clock();
  // One that becomes valid later is taken; it is used from then on.
  const from = certificate.notBefore > at ? certificate.notBefore : at;
  const verdict = mayCertificateEncrypt(certificate, from);
  if (verdict.kind === 'may-not') return verdict.text;
  const [row] = await askingDirectory(() => store.query(selectDecision(certificate.fingerprint)));
  const decision = storedDecision(row);
  return decision?.decision === 'distrusted' ? `${decision.by} distrusts it: ${decision.reason}` : null;
}

function wantedOf(certificate: Certificate, place: string): Wanted[] {
  const keys = new Map(
    certificate.mailboxes.flatMap((mailbox) => {
      const key = addressKey(mailbox);
      return key === null ? [] : [[key.exact, key] as const];
    }),
  );
  return [...keys.values()].map((key) => ({
    place,
    newcomer: {
      ...{ key, certificate, trust: 'directory', source: 'import' },
      ...{ capabilities: [], capabilitiesAt: 0 },
    },
  }));
}

type Written = 'current' | 'pending' | 'known' | 'full';

/** Another gateway may write at the same time; what it was in the way of is judged anew. */
async function write(
  all: readonly Wanted[],
  store: SqlStore,
  clock: Clock,
  as: ImportTrust,
): Promise<Map<Wanted, Written>> {
  const done = new Map<Wanted, Written>();
  let left = all;
  for (let attempt = 0; left.length > 0; attempt++) {
    if (attempt >= ATTEMPTS) throw directoryBusy();
    const now = clock().getTime();
    const plans = await Promise.all(left.map((one) => planned(one, store, now)));
    const statements = plans.flatMap((plan) => plan.statements);
    const answers = await store.transaction(statements);
    let at = 0;
    for (const plan of plans) {
      const last = answers[at + plan.statements.length - 1];
      at += plan.statements.length;
      if (plan.outcome !== 'current' && plan.outcome !== 'pending') done.set(plan.one, plan.outcome);
      else if (last !== undefined && last.length > 0) done.set(plan.one, plan.outcome);
    }
    left = left.filter((one) => !done.has(one));
  }
  if (as.trust === 'pinned') {
    const { by, reason } = as;
    for (const one of all) {
      if (done.get(one) === 'full') continue;
      const { key, certificate } = one.newcomer;
      const deciding = { by, reason, at: clock().getTime() };
      await store.transaction(decideUnderAddress(key.exact, certificate.fingerprint, 'pin', deciding));
      if (done.get(one) === 'pending') done.set(one, 'current');
    }
  }
  return done;
}

async function planned(
  one: Wanted,
  store: SqlStore,
  now: number,
): Promise<{ one: Wanted; outcome: Written; statements: readonly Statement[] }> {
  const { newcomer } = one;
  const { key, certificate } = newcomer;
  const history = (await store.query(selectOfAddress(key.exact))).map(storedCertificate);
  const current = history.filter(countsAgainstOthers);
  const distrusted = await store.query(selectDistrustOfKey(certificate.subjectPublicKeyInfo));
  const judged = judgeNewcomer(current, {
    issuer: certificate.issuer.der,
    publicKey: publicKeyHash(certificate.subjectPublicKeyInfo),
    trust: newcomer.trust,
  });
  const state = distrusted.length > 0 ? 'pending' : judged;
  const known = history.find(({ fingerprint }) => fingerprint === certificate.fingerprint);
  if (known !== undefined) {
    return { one, outcome: 'known', statements: [updateSeen(known.id, newcomer, state, now)] };
  }
  if (history.length >= limits.directory.certificatesOfAddress)
    return { one, outcome: 'full', statements: [] };
  return {
    one,
    outcome: state,
    statements: [insertCertificate(certificate), insertEntry(newcomer, state, now, historyMark(history))],
  };
}
