/**
 * The name of a mailbox as a quoted string (RFC 9051 §9).
 *
 * @param utf8 the server takes UTF-8; else modified UTF-7 (RFC 3501 §5.1.3)
 * @throws Error for a name with control characters, which the configuration refuses
 */
export function quotedMailbox(name: string, utf8: boolean): Buffer {
  if (/\p{Cc}/u.test(name)) throw new Error('a mailbox name has control characters');
  const written = utf8 ? name : modifiedUtf7(name);
  return Buffer.from(`"${written.replace(/["\\]/g, '\\$&')}"`, 'utf8');
}

function modifiedUtf7(name: string): string {
  return name.replaceAll('&', '&-').replace(/[^\x20-\x7e]+/g, (run) => {
    const base64 = Buffer.from(run, 'utf16le').swap16().toString('base64');
    return `&${base64.replace(/=+$/, '').replaceAll('/', ',')}-`;
  });
}
