import type { HeaderField } from '../mail/entity.ts';
import { readMessage } from '../mail/entity-tree.ts';
import { fieldsNamed } from '../mail/header.ts';

/** The header of a message without the rest, which may be large. The ranges are those of `header`. */
export function readHeaderAlone(octets: Buffer): { header: Buffer; fields: readonly HeaderField[] } {
  const end = octets.indexOf('\r\n\r\n');
  const header = end === -1 ? octets : octets.subarray(0, end + 4);
  return { header, fields: readMessage(header).root.fields };
}

/** null: there is none that a field of ours could repeat. */
export function messageIdIn(fields: readonly HeaderField[]): string | null {
  const [field] = fieldsNamed(fields, 'message-id');
  const id = field?.value.trim() ?? '';
  return id.length <= 900 && /^<[\x21-\x3b\x3d\x3f-\x7e]+>$/.test(id) ? id : null;
}
