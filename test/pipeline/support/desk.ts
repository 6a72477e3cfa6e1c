import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type { UserRequest } from '../../../src/evaluation/throwaway-pki.ts';
import { type ExplainedSubmission, explainSubmission } from '../../../src/pipeline/explain-submission.ts';
import { type OutboundParts, outboundStory } from '../../../src/pipeline/outbound.ts';
import type { Submission, SubmissionOutcome } from '../../../src/pipeline/ports.ts';
import type { Rule } from '../../../src/policy/rules.ts';
import { type Person, Town } from './people.ts';
import { FakeDelivered, FakeDirectory, FakeKeyring, FakeLog, FakeUpstream, submission } from './ports.ts';

export const ALICE = 'alice@example.org';
export const BOB = 'bob@example.org';
export const CAROL = 'carol@example.org';
export const RITA = 'rita@example.org';

/** Alice's desk: real people around her, and everything else that a mail of hers meets, new for each test. */
export class Desk<Name extends string> {
  directory = new FakeDirectory();
  keyring = new FakeKeyring([]);
  upstream = new FakeUpstream();
  log = new FakeLog();
  #town: Town | null = null;
  #people: Partial<Record<Name, Person>> = {};

  get town(): Town {
    if (this.#town === null) throw new Error('the tests have not begun');
    return this.#town;
  }

  person(name: Name): Person {
    const person = this.#people[name];
    if (person === undefined) throw new Error('the tests have not begun');
    return person;
  }

  async begin(people: Readonly<Record<Name, Partial<UserRequest>>>): Promise<void> {
    this.#town = await Town.found();
    const names = Object.keys(people) as Name[];
    await Promise.all(
      names.map(async (name) => {
        this.#people[name] = await this.town.person(`${name}@example.org`, people[name]);
      }),
    );
  }

  clear(): void {
    this.directory = new FakeDirectory();
    this.keyring = new FakeKeyring(
      Object.values<Person | undefined>(this.#people).flatMap((one) => one ?? []),
    );
    this.upstream = new FakeUpstream();
    this.log = new FakeLog();
  }

  async end(): Promise<void> {
    await this.#town?.end();
  }

  parts(rules: readonly Rule[], more: Partial<OutboundParts> = {}): OutboundParts {
    const { keyring, directory, log } = this;
    return {
      keyring,
      directory,
      log,
      rules,
      delivered: new FakeDelivered(),
      clock: () => new Date(),
      ...more,
    };
  }

  explain(
    sent: Submission,
    rules: readonly Rule[],
    more: Partial<OutboundParts> = {},
  ): Promise<ExplainedSubmission> {
    return explainSubmission(sent, this.upstream.upstream, this.parts(rules, more));
  }

  /** What comes of a mail of hers; explain says the same, word for word. */
  async send(
    rules: readonly Rule[],
    octets: Buffer,
    { to = [BOB], ...more }: Partial<OutboundParts> & { to?: readonly string[] } = {},
  ): Promise<SubmissionOutcome & { explained: ExplainedSubmission; text: string }> {
    const sent = submission(ALICE, to, octets);
    const explained = await this.explain(sent, rules, more);
    const outcome = await outboundStory(this.parts(rules, more)).submit(sent, this.upstream);
    const text = outcome.reply.lines.join(' ');
    const refusal = outcome.kind === 'refused' ? { code: outcome.reply.code, text } : null;
    expect(explained.reply).toEqual(refusal);
    return { ...outcome, explained, text };
  }
}

/** For the tests of this file. @param people by local part at example.org; each has a P-256 key where it is not said otherwise */
export function deskOf<Name extends string>(
  people: Readonly<Record<Name, Partial<UserRequest>>>,
): Desk<Name> {
  const desk = new Desk<Name>();
  beforeAll(() => desk.begin(people));
  beforeEach(() => desk.clear());
  afterAll(() => desk.end());
  return desk;
}
