import { contentOffset, type Element } from '../../../src/asn1/element.ts';
import { children, readWhole } from '../../../src/asn1/reader.ts';

/**
 * For each octet of an encoding the innermost element that it belongs to, as positions among its siblings from the root:
 * `1.0.4` is the fifth child of the first child of the second child. `^` behind it: an octet of identifier or length.
 *
 * @param within paths of strings whose content is an encoding again
 */
export function elementPaths(octets: Buffer, within: readonly string[] = []): string[] {
  const paths: string[] = Array.from({ length: octets.length }, () => '');
  const visit = (element: Element, path: string): void => {
    const start = element.offset;
    const content = contentOffset(element);
    paths.fill(`${path}^`, start, content);
    paths.fill(path, content, content + element.content.length);
    // The end-of-contents octets of an indefinite length.
    paths.fill(`${path}^`, content + element.content.length, start + element.raw.length);
    const inside = element.constructed
      ? children(element, 'BER')
      : within.includes(path)
        ? [readWhole(element.content, 'BER', content)]
        : [];
    for (const [index, child] of inside.entries())
      visit(child, path === '' ? `${index}` : `${path}.${index}`);
  };
  visit(readWhole(octets, 'BER'), '');
  return paths;
}

/** Whether a path is the element `of` or lies in it. */
export function liesIn(path: string, of: string): boolean {
  const bare = path.replace(/\^$/, '');
  return bare === of || bare.startsWith(`${of}.`);
}
