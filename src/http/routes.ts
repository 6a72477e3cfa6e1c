import type { Route } from './message.ts';

export type Found = { route: Route; segments: Readonly<Record<string, string>> };

/** The places of one listener. A place of fixed words goes before one with `:name`. */
export class Routes {
  readonly #routes: readonly { route: Route; pattern: readonly string[] }[];

  /** @throws Error where two routes have one path: a mistake in the wiring */
  constructor(routes: readonly Route[]) {
    const shapes = routes.map(({ path }) => path.replaceAll(/:[^/]+/g, ':'));
    const twice = shapes.find((shape, index) => shapes.indexOf(shape) < index);
    if (twice !== undefined) throw new Error(`two routes have the path ${twice}`);
    this.#routes = routes
      .map((route) => ({ route, pattern: route.path === '/' ? [] : route.path.slice(1).split('/') }))
      .sort((one, other) => names(one.pattern) - names(other.pattern));
  }

  /** @param segments decoded */
  find(segments: readonly string[]): Found | null {
    for (const { route, pattern } of this.#routes) {
      const found = matched(pattern, segments);
      if (found !== null) return { route, segments: found };
    }
    return null;
  }
}

function names(pattern: readonly string[]): number {
  return pattern.filter((part) => part.startsWith(':')).length;
}

function matched(pattern: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (pattern.length !== segments.length) return null;
  const found: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (part.startsWith(':')) found[part.slice(1)] = segment;
    else if (part !== segment) return null;
  }
  return found;
}
