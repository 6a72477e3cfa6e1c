/** Whether an address of a socket is this machine itself. IPv4 may be written in IPv6 (`::ffff:127.0.0.1`). */
export function isLoopback(address: string): boolean {
  const plain = address.toLowerCase().startsWith('::ffff:') ? address.slice(7) : address;
  return plain === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(plain);
}
