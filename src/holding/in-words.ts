/** “a, b and 3 others” */
export function inWords(addresses: readonly string[], most = 3): string {
  const shown = addresses.slice(0, most);
  const more = addresses.length - shown.length;
  if (more > 0) return `${shown.join(', ')} and ${more} ${more === 1 ? 'other' : 'others'}`;
  const last = shown.pop();
  return shown.length === 0 ? (last ?? 'nobody') : `${shown.join(', ')} and ${last}`;
}
