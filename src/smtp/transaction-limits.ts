import { limits } from '../limits.ts';
import type { Extensions } from './extensions.ts';

/** RFC 9422 §3: as they are registered; what else a server says is passed over. */
const NAMES = ['MAILMAX', 'RCPTMAX', 'RCPTDOMAINMAX'] as const;

type Name = (typeof NAMES)[number];

/** What a server says of how much it takes (LIMITS, RFC 9422 §4). A value that is none is passed over. */
export function statedLimits(upstream: Extensions): ReadonlyMap<Name, number> {
  const stated = new Map<Name, number>();
  for (const parameter of upstream.get('LIMITS') ?? []) {
    const [, keyword = '', value = ''] = /^([A-Za-z]+)=([1-9][0-9]{0,5})$/.exec(parameter) ?? [];
    const name = NAMES.find((each) => each === keyword.toUpperCase());
    if (name !== undefined) stated.set(name, Number(value));
  }
  return stated;
}

/** The line of our EHLO reply: our bounds, and the upstream's where they are tighter. */
export function limitsOffered(upstream: Extensions): string {
  const stated = statedLimits(upstream);
  const ours = new Map<Name, number>([
    ...stated,
    ['RCPTMAX', Math.min(limits.smtp.recipients, stated.get('RCPTMAX') ?? limits.smtp.recipients)],
  ]);
  const words = NAMES.flatMap((name) => (ours.has(name) ? [`${name}=${ours.get(name)}`] : []));
  return `LIMITS ${words.join(' ')}`;
}
