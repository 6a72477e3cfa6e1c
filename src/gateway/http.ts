import { unreachable } from '../errors.ts';
import { startHttpListener } from '../http/listener.ts';
import type { Route } from '../http/message.ts';
import { certificateStore } from '../publishing/certificate-store.ts';
import type { PublishedPeople } from '../publishing/published-people.ts';
import type { Opening } from './opening.ts';
import type { Listening } from './ports.ts';

export type HttpParts = { people: PublishedPeople };

type Service = Opening['config']['http'][number]['serves'][number];

/** Browsers and other programs that speak HTTP are taken from here on. */
export async function startHttpListeners(
  { config, log, opened }: Opening,
  parts: HttpParts,
  { ports, tls }: Listening,
): Promise<void> {
  // One for all listeners, so that what is bounded is bounded in all of them together.
  const routes = new Map<Service, readonly Route[]>();
  const routesOf = (service: Service): readonly Route[] => {
    const made = routes.get(service) ?? routesFor(service, parts);
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

function routesFor(service: Service, { people }: HttpParts): readonly Route[] {
  switch (service) {
    case 'certificates':
      return [certificateStore(people, () => performance.now())];
    default:
      return unreachable(service);
  }
}
