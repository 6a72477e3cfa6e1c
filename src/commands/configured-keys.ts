import type { Config } from '../config/load.ts';
import type { KeySource } from '../hsm/source-kinds.ts';
import type { TokenPlace } from './token-options.ts';

/** The tokens of the configuration, each with the name of its key source. */
export function configuredTokens(config: Config): { name: string; place: TokenPlace }[] {
  return configuredSources(config).flatMap(({ name, places }) =>
    places.flatMap((place) => (place.kind === 'token' ? [{ name, place }] : [])),
  );
}

export function configuredSources({ keys }: Config): readonly KeySource[] {
  return keys;
}
