/** Whether a source is for a domain. @param patterns domains in lower case, `*.domain` or `*`; null: every domain */
export function isOneOfDomains(patterns: readonly string[] | null, domain: string): boolean {
  return patterns === null || patterns.some((pattern) => matches(pattern, domain));
}

function matches(pattern: string, domain: string): boolean {
  if (pattern === '*' || pattern === domain) return true;
  return pattern.startsWith('*.') && domain.endsWith(pattern.slice(1));
}
