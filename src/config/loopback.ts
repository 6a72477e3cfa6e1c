/** Only what cannot leave this machine whatever its name service says, and the name RFC 6761 §6.3 reserves for it. */
export function isLoopback(host: string): boolean {
  return host === '::1' || host.toLowerCase() === 'localhost' || /^127(\.\d{1,3}){3}$/.test(host);
}
