const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** RFC 4648 §4 with padding and nothing else; null where it is malformed. Unused bits must be zero (§3.5). */
export function decodeBase64(octets: Buffer): Buffer | null {
  const text = octets.toString('latin1');
  if (!BASE64.test(text)) return null;
  const decoded = Buffer.from(text, 'base64');
  return decoded.toString('base64') === text ? decoded : null;
}
