import { spawnSync } from 'node:child_process';
import type { Entity } from '../../src/mail/entity.ts';

/** The tree as python3's email package reads it: another parser to differ from. */
export type Tree = { type: string; payload: string | null; parts: Tree[] };

const PROGRAM = `
import sys, json, email, base64
def tree(m):
    if m.is_multipart() and m.get_content_maintype() == 'multipart':
        return {'type': m.get_content_type(), 'payload': None, 'parts': [tree(p) for p in m.get_payload()]}
    p = m.get_payload()
    if not isinstance(p, str) or m.get_content_maintype() == 'multipart':
        return {'type': m.get_content_type(), 'payload': None, 'parts': []}
    return {'type': m.get_content_type(), 'payload': p.encode('ascii', 'surrogateescape').decode('latin1'), 'parts': []}
json.dump([tree(email.message_from_bytes(base64.b64decode(l))) for l in json.load(sys.stdin)], sys.stdout)
`;

export function readByPython(messages: readonly Buffer[]): Tree[] {
  const run = spawnSync('python3', ['-c', PROGRAM], {
    input: JSON.stringify(messages.map((each) => each.toString('base64'))),
    maxBuffer: 64 * 1024 * 1024,
  });
  if (run.status !== 0) throw new Error(run.stderr.toString());
  return JSON.parse(run.stdout.toString()) as Tree[];
}

export function treeOf(octets: Buffer, entity: Entity): Tree {
  const { type, subtype } = entity.mediaType;
  // The octets of a multipart outside its parts are shown to nobody.
  if (type === 'multipart') {
    return {
      type: `${type}/${subtype}`,
      payload: null,
      parts: entity.parts.map((part) => treeOf(octets, part)),
    };
  }
  return {
    type: `${type}/${subtype}`,
    payload: octets.toString('latin1', entity.body.start, entity.body.end),
    parts: [],
  };
}
