import { domainToASCII } from 'node:url';
import type { Log } from '../../log/log.ts';
import type { GroupQuestion, GroupSubject, Memberships } from '../../pipeline/ports.ts';
import { type AddressKey, addressKey } from '../address-key.ts';
import { remember } from '../parsed-certificates.ts';
import { AskedSource } from '../remote/asked-source.ts';
import type { GroupSource, MemberQuestion } from './group-source.ts';

export type MembershipParts = {
  sources: readonly GroupSource[];
  /** Of their breakers; and how long all that is asked for one subject may take. */
  settings: { timeoutMs: number; failures: number; retryMs: number };
  log: Log;
};

type Known = { isMember: boolean; until: number };
type AskedGroups = AskedSource<MemberQuestion, boolean, GroupSource>;

/**
 * Who is in groups, as LDAP directories say, remembered for a while in memory.
 *
 * What holds: an answer that has expired counts no more, also where no other can be had: nobody knows then, which is not "no"; and each
 * question is asked once at a time.
 */
export class LdapMemberships implements Memberships {
  readonly #parts: MembershipParts;
  readonly #sources: ReadonlyMap<string, AskedGroups>;
  readonly #known = new Map<string, Known>();
  readonly #underWay = new Map<string, Promise<boolean | null>>();

  constructor(parts: MembershipParts) {
    this.#parts = parts;
    const { failures, retryMs } = parts.settings;
    this.#sources = new Map(
      parts.sources.map((source): [string, AskedGroups] => [
        source.name,
        new AskedSource(source, { failures, retryMs, onChange: (...told) => this.#tell(...told) }),
      ]),
    );
  }

  known(group: GroupQuestion, subject: GroupSubject): boolean | null {
    const asked = this.#questionOf(group, subject);
    return asked === null || asked === false ? asked : this.#remembered(asked.key);
  }

  async ask(group: GroupQuestion, subject: GroupSubject): Promise<boolean | null> {
    const asked = this.#questionOf(group, subject);
    if (asked === null || asked === false) return asked;
    const { key } = asked;
    const before = this.#remembered(key) ?? this.#underWay.get(key) ?? null;
    if (before !== null) return before;
    const answer = this.#ask(asked);
    this.#underWay.set(key, answer);
    try {
      return await answer;
    } finally {
      this.#underWay.delete(key);
    }
  }

  /** false: nobody has to be asked to know that he is not in it. null: there is nobody to ask. */
  #questionOf(
    { source: name, addresses, logins }: GroupQuestion,
    subject: GroupSubject,
  ): { key: string; source: AskedGroups; question: MemberQuestion } | false | null {
    const filter = subject.kind === 'address' ? addresses : logins;
    if (filter === null) return false;
    const source = this.#sources.get(name);
    if (source === undefined) return null;
    // The filter is in it: what another set of rules had asked is another question.
    const key = `${name}\n${filter}\n${subject.text}`;
    if (subject.kind === 'login') {
      return { key, source, question: { kind: 'login', filter, login: subject.text } };
    }
    const address = addressKey(subject.text) ?? asWritten(subject.text);
    if (!source.source.covers(address)) return false;
    return { key, source, question: { kind: 'address', filter, address } };
  }

  #remembered(key: string): boolean | null {
    const known = this.#known.get(key);
    return known !== undefined && known.until > performance.now() ? known.isMember : null;
  }

  async #ask({ key, source, question }: { key: string; source: AskedGroups; question: MemberQuestion }) {
    const { settings, log } = this.#parts;
    const asked = await source.ask(question, AbortSignal.timeout(settings.timeoutMs));
    const { name, keptMs } = source.source;
    switch (asked.kind) {
      case 'answered':
        remember(this.#known, key, { isMember: asked.answer, until: performance.now() + keptMs });
        return asked.answer;
      case 'failed':
        log.write({ event: 'directory.source-failed', level: 'warn', source: name, reason: asked.reason });
        return null;
      case 'not-asked':
        return null;
    }
  }

  #tell({ name }: GroupSource, openedBy: string | null): void {
    this.#parts.log.write(
      openedBy === null
        ? { event: 'directory.source-back', level: 'info', source: name }
        : { event: 'directory.source-away', level: 'warn', source: name, reason: openedBy },
    );
  }
}

/**
 * No certificate can name such an address (`carol@my_host`, a domain in full-width letters), but mail is sent there or from there: a rule for
 * the group counts for it as for the domain that mail servers, and other conditions of rules, take it for.
 */
function asWritten(text: string): AddressKey {
  const at = text.lastIndexOf('@');
  const written = text.slice(at + 1).replace(/\.$/, '');
  const domain = domainToASCII(written) || written.toLowerCase();
  const localPart = text.slice(0, Math.max(0, at));
  return { exact: `${localPart}@${domain}`, folded: `${localPart.toLowerCase()}@${domain}`, domain };
}
