import { type MutationContext, mutateOctets } from './mutate.ts';
import type { Random } from './random.ts';

/**
 * Changes to a tree of BER elements; the lengths around a change are made right again, so that readers get to see what
 * is inside. A reader of its own, which takes what it finds: the one that is tested would only ever see what it knows.
 */
type Node = {
  identifier: Buffer;
  content: Buffer;
  /** null: not looked into. */
  children: Node[] | null;
  /** Octets before the children: the first octet of a BIT STRING. */
  before: Buffer;
  length: 'short' | 'padded' | 'indefinite' | 'wrong';
};

const DEPTH = 40;

export function mutateTlv(octets: Buffer, context: MutationContext): Buffer {
  const { random, other } = context;
  const roots = nodesIn(octets, 0);
  if (roots === null || roots.length === 0) return mutateOctets(octets, context);
  const all = allOf(roots);
  const { node, siblings } = random.pick(all) ?? { node: roots[0] as Node, siblings: roots };
  const place = siblings.indexOf(node);
  switch (random.int(14)) {
    case 0:
      siblings.splice(place, 1);
      break;
    case 1:
      siblings.splice(place, 0, ...Array.from({ length: random.small(8) }, () => node));
      break;
    case 2: {
      const two = random.int(siblings.length);
      siblings[place] = siblings[two] ?? node;
      siblings[two] = node;
      break;
    }
    case 3: {
      const strange = allOf(nodesIn(other, 0) ?? []);
      siblings.splice(place, random.int(2), random.pick(strange)?.node ?? node);
      break;
    }
    case 4: // another place of the same tree; a copy, or a tree could hold itself
      siblings.splice(place, random.int(2), leafOf(random.pick(all)?.node ?? node));
      break;
    case 5:
      node.identifier = identifier(random, node);
      break;
    case 6:
      node.length = random.pick(['padded', 'indefinite', 'wrong']);
      break;
    case 7: // a string in segments
      node.children = [leafOf({ ...node, identifier: Buffer.from([random.pick([4, 3, 0x24])]) })];
      node.identifier = Buffer.from([(node.identifier[0] ?? 0) | 0x20]);
      node.before = Buffer.alloc(0);
      if (random.once(2)) node.length = 'indefinite';
      break;
    case 8: // deeper
      siblings[place] = wrapped(node, random);
      break;
    case 9: // what is inside stands for it
      if (node.children !== null) siblings.splice(place, 1, ...node.children);
      break;
    case 10:
      if (node.children === null) node.content = number(random);
      else node.children = [];
      break;
    default:
      if (node.children === null || random.once(4)) {
        node.content = mutateOctets(encodeContent(node), context);
        node.children = null;
        node.before = Buffer.alloc(0);
      } else node.children.splice(random.int(node.children.length + 1), 0, leafOf(node));
  }
  return Buffer.concat(roots.map(encode));
}

function allOf(nodes: Node[]): { node: Node; siblings: Node[] }[] {
  const found: { node: Node; siblings: Node[] }[] = [];
  const waiting = [nodes];
  for (let siblings = waiting.pop(); siblings !== undefined; siblings = waiting.pop()) {
    for (const node of siblings) {
      found.push({ node, siblings });
      if (node.children !== null) waiting.push(node.children);
    }
    if (found.length > 5_000) break;
  }
  return found;
}

function leafOf(node: Node): Node {
  return { ...node, content: encodeContent(node), children: null, before: Buffer.alloc(0) };
}

function wrapped(node: Node, random: Random): Node {
  let outer = node;
  for (let left = random.once(8) ? 70 : random.small(3); left > 0; left--) {
    outer = {
      identifier: Buffer.from([random.pick([0x30, 0x31, 0x24, 0xa0, 0xa1])]),
      content: Buffer.alloc(0),
      children: [outer],
      before: Buffer.alloc(0),
      length: random.once(3) ? 'indefinite' : 'short',
    };
  }
  return outer;
}

function identifier(random: Random, node: Node): Buffer {
  const first = node.identifier[0] ?? 0;
  switch (random.int(5)) {
    case 0:
      return Buffer.from([first ^ 0x20]);
    case 1:
      return Buffer.from([(first & 0xe0) | random.int(31)]);
    case 2:
      return Buffer.from([0x80 | (first & 0x20) | random.int(6)]);
    case 3:
      return Buffer.from([first | 0x1f, 0x81, random.int(128)]);
    default:
      return Buffer.from([random.pick([2, 3, 4, 5, 6, 12, 19, 22, 23, 24, 30, 0x30, 0x31, 0xa0, 0xa1])]);
  }
}

const NUMBERS = [
  '',
  '00',
  '01',
  '7f',
  '80',
  'ff',
  '0080',
  '7fffffff',
  '80000000',
  'ffffffffffffffff',
  '00ffffffffffffff',
];

function number(random: Random): Buffer {
  return random.once(6)
    ? Buffer.alloc(random.int(600), 0x7f)
    : Buffer.from(random.pick(NUMBERS) ?? '', 'hex');
}

/** null: not a row of elements. */
function nodesIn(octets: Buffer, depth: number): Node[] | null {
  const nodes: Node[] = [];
  let at = 0;
  while (at < octets.length) {
    const start = at;
    const first = octets[at++] ?? 0;
    if ((first & 0x1f) === 0x1f) while (((octets[at++] ?? 0) & 0x80) !== 0 && at < octets.length);
    const head = octets.subarray(start, at);
    let length = octets[at++];
    if (length === undefined) return null;
    let end: number;
    let form: Node['length'] = 'short';
    if (length === 0x80) {
      end = indefiniteEnd(octets, at, depth);
      if (end === -1) return null;
      form = 'indefinite';
    } else {
      if (length > 0x80) {
        const count = length - 0x80;
        if (count > 4 || at + count > octets.length) return null;
        length = octets.readUIntBE(at, count);
        at += count;
      }
      end = at + length;
    }
    if (end > octets.length) return null;
    nodes.push(nodeOf(head, octets.subarray(at, end), form, depth));
    at = form === 'indefinite' ? end + 2 : end;
    if (nodes.length > 5_000) return null;
  }
  return nodes;
}

function nodeOf(head: Buffer, content: Buffer, length: Node['length'], depth: number): Node {
  const node: Node = { identifier: head, content, children: null, before: Buffer.alloc(0), length };
  const first = head[0] ?? 0;
  if (depth >= DEPTH || content.length === 0) return node;
  if ((first & 0x20) !== 0) node.children = nodesIn(content, depth + 1);
  // What is encoded inside a string: extensions, keys, whole contents.
  else if (first === 4 && content.length > 1) node.children = nodesIn(content, depth + 1);
  else if (first === 3 && content[0] === 0 && content.length > 2) {
    node.children = nodesIn(content.subarray(1), depth + 1);
    if (node.children !== null) node.before = content.subarray(0, 1);
  }
  return node;
}

function indefiniteEnd(octets: Buffer, from: number, depth: number): number {
  if (depth > DEPTH) return -1;
  let at = from;
  while (at + 1 < octets.length) {
    if (octets[at] === 0 && octets[at + 1] === 0) return at;
    if (((octets[at] ?? 0) & 0x1f) === 0x1f) return -1;
    const length = octets[at + 1] ?? 0;
    if (length === 0x80) {
      const inner = indefiniteEnd(octets, at + 2, depth + 1);
      if (inner === -1) return -1;
      at = inner + 2;
    } else if (length < 0x80) at += 2 + length;
    else {
      const count = length - 0x80;
      if (count > 4 || at + 2 + count > octets.length) return -1;
      at += 2 + count + octets.readUIntBE(at + 2, count);
    }
  }
  return -1;
}

function encodeContent(node: Node): Buffer {
  return node.children === null ? node.content : Buffer.concat([node.before, ...node.children.map(encode)]);
}

function encode(node: Node): Buffer {
  const content = encodeContent(node);
  const { length } = content;
  switch (node.length) {
    case 'indefinite':
      return Buffer.concat([node.identifier, Buffer.from([0x80]), content, Buffer.alloc(2)]);
    case 'padded':
      return Buffer.concat([node.identifier, Buffer.from([0x84, 0, 0, length >> 8, length]), content]);
    case 'wrong':
      return Buffer.concat([node.identifier, lengthOctets((length * 3) >> 1), content]);
    case 'short':
      return Buffer.concat([node.identifier, lengthOctets(length), content]);
  }
}

function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  if (length < 0x100) return Buffer.from([0x81, length]);
  if (length < 0x1_0000) return Buffer.from([0x82, length >> 8, length]);
  return Buffer.from([0x83, length >> 16, length >> 8, length]);
}
