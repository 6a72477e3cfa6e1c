import { createHash } from 'node:crypto';
import { plainAnswer } from '../http/answers.ts';
import { type HttpAnswer, type HttpRequest, onlyValue, type Route } from '../http/message.ts';
import { Rates } from '../http/rates.ts';
import { limits } from '../limits.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { PublishedPeople, PublishedPerson } from './published-people.ts';

/** Where clients look that know nothing but the host's name. */
export const CERTIFICATE_STORE_PATH = '/certificates/search.cgi';

/**
 * The certificate store of RFC 4387: `?email=alice@example.org`, or `?certHash=` with the SHA-1 of a certificate. Of an address come its
 * certificates that may be used now.
 *
 * Holds: found is who is asked for by a whole address, or whose certificate the client has seen already; there is no list, and no part of
 * a name finds anybody.
 *
 * @param now milliseconds that never run backwards
 */
export function certificateStore(people: PublishedPeople, now: () => number): Route {
  const { lookups: most, lookupsMs: spanMs, clients: remembered } = limits.publishing;
  const digests = new Digests(people);
  const clients = new Rates({ most, spanMs, remembered }, now);
  return {
    path: CERTIFICATE_STORE_PATH,
    async get({ query, network }: HttpRequest): Promise<HttpAnswer> {
      const email = onlyValue(query, 'email');
      const hash = onlyValue(query, 'certHash');
      if (query.length !== 1 || (email === null) === (hash === null)) {
        return plainAnswer(400, 'One of ?email=… and ?certHash=… is understood here (RFC 4387).');
      }
      const waitMs = network === null ? 0 : clients.count(network);
      if (waitMs > 0) {
        const seconds = String(Math.ceil(waitMs / 1_000));
        return plainAnswer(429, 'This address has asked for too much; try again later.', {
          'retry-after': seconds,
        });
      }
      return found(email === null ? await digests.find(hash ?? '') : await byAddress(people, email));
    },
  };
}

async function byAddress(people: PublishedPeople, address: string): Promise<readonly Certificate[]> {
  const person = people.find(address.trim());
  return person === null ? [] : await people.current(person);
}

/** The certificates by their digests, which are made when a key comes or goes. */
class Digests {
  readonly #people: PublishedPeople;
  #of: readonly PublishedPerson[] | null = null;
  #found: ReadonlyMap<string, { person: PublishedPerson; certificate: Certificate }> = new Map();

  constructor(people: PublishedPeople) {
    this.#people = people;
  }

  async find(written: string): Promise<readonly Certificate[]> {
    // A plus sign that was not written as %2B.
    const found = this.#all().get(withoutPadding(written.replaceAll(' ', '+')));
    if (found === undefined) return [];
    return (await this.#people.current(found.person)).filter((each) => each === found.certificate);
  }

  #all() {
    const { all } = this.#people;
    if (this.#of === all) return this.#found;
    this.#of = all;
    this.#found = new Map(
      all.flatMap((person) =>
        person.certificates.map((certificate) => {
          const digest = createHash('sha1').update(certificate.der).digest('base64');
          return [withoutPadding(digest), { person, certificate }] as const;
        }),
      ),
    );
    return this.#found;
  }
}

/** RFC 4387 §2.1: of base64 what says something. */
function withoutPadding(base64: string): string {
  return base64.replace(/=+$/, '');
}

const TYPE = 'application/pkix-cert';

function found(certificates: readonly Certificate[]): HttpAnswer {
  const [first, ...more] = certificates;
  if (first === undefined) return plainAnswer(404, 'There is no such certificate here.');
  if (more.length === 0) return { status: 200, contentType: TYPE, body: first.der };
  const boundary = `sealgate-${createHash('sha256')
    .update(Buffer.concat(certificates.map(({ der }) => der)))
    .digest('hex')}`;
  const parts = certificates.flatMap(({ der }) => [
    Buffer.from(`--${boundary}\r\nContent-Type: ${TYPE}\r\nContent-Transfer-Encoding: binary\r\n\r\n`),
    der,
    Buffer.from('\r\n'),
  ]);
  const body = Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]);
  return { status: 200, contentType: `multipart/mixed; boundary="${boundary}"`, body };
}
