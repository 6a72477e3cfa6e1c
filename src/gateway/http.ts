import { unreachable } from '../errors.ts';
import type { HeldMails } from '../holding/held-mail.ts';
import { startHttpListener } from '../http/listener.ts';
import type { Route } from '../http/message.ts';
import { newMailId } from '../ids.ts';
import { certificateStore } from '../publishing/certificate-store.ts';
import type { PublishedPeople } from '../publishing/published-people.ts';
import type { OwnMails } from '../queue/own-mail.ts';
import type { Queue } from '../queue/ports.ts';
import { heldRoutes } from '../self-service/held-routes.ts';
import { LinkRequests } from '../self-service/link-requests.ts';
import type { HeldLinks } from '../self-service/ports.ts';
import type { Opening } from './opening.ts';
import type { Listening } from './ports.ts';

export type HttpParts = {
  people: PublishedPeople;
  /** Mail that waits; null: the configuration has no queue, so there is none. */
  held: HeldSide | null;
};

export type HeldSide = {
  mails: HeldMails;
  links: HeldLinks;
  ownMails: Pick<OwnMails, 'compose'>;
  queue: Pick<Queue, 'enqueue'>;
};

type Service = Opening['config']['http'][number]['serves'][number];

/** Browsers and other programs that speak HTTP are taken from here on. */
export async function startHttpListeners(
  opening: Opening,
  parts: HttpParts,
  { ports, tls }: Listening,
): Promise<void> {
  const { config, log, opened } = opening;
  // One for all listeners, so that what is bounded is bounded in all of them together.
  const routes = new Map<Service, readonly Route[]>();
  const routesOf = (service: Service): readonly Route[] => {
    const made = routes.get(service) ?? routesFor(service, opening, parts);
    routes.set(service, made);
    return made;
  };
  for (const { serves, ...listener } of config.http) {
    const started = await startHttpListener({
      ...{ ...listener, log },
      routes: serves.flatMap((service) => routesOf(service)),
      ...(tls === null ? {} : { secureContext: tls.context(false) }),
    });
    ports.add(listener, opened.keep(started).port);
  }
}

function routesFor(service: Service, opening: Opening, { people, held }: HttpParts): readonly Route[] {
  switch (service) {
    case 'certificates':
      return [certificateStore(people, now)];
    case 'held-mail':
      return heldPages(opening, held);
    default:
      return unreachable(service);
  }
}

/** The configuration has no such listener without the rest: httpChecks. */
function heldPages({ config, log, opened }: Opening, held: HeldSide | null): readonly Route[] {
  const { url } = config.holding;
  if (held === null || url === null)
    throw new Error('a listener for mail that waits, of which there is none');
  const { mails, links, ownMails, queue } = held;
  const requests = opened.keep(
    new LinkRequests({
      ...{ mails, links, url, log, now },
      async send({ to, subject, lines }) {
        const note = await ownMails.compose({
          ...{ id: newMailId(), purpose: 'notice', to: [to], subject, lines },
        });
        await queue.enqueue([note]);
      },
    }),
  );
  return heldRoutes({ mails, links, requests, hostname: config.hostname, now });
}

const now = (): number => performance.now();
