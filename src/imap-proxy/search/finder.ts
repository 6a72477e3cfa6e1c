/** Up to here V8's own search takes time in proportion to the text, whatever both are; beyond, to text times words. */
const SHORT = 250;

/** Whether a text has these words in it, in time that is in proportion to its length; null: no text has. */
export function finder(words: string | null): (text: string) => boolean {
  if (words === null) return () => false;
  if (words.length <= SHORT) return (text) => text.includes(words);
  const beginning = words.slice(0, SHORT);
  let borders: Uint32Array | null = null;
  return (text) => {
    const from = text.indexOf(beginning);
    if (from === -1) return false;
    borders ??= bordersOf(words);
    return hasFrom(text, from, words, borders);
  };
}

/** Of each beginning of the words, how much of it is its end as well (Knuth, Morris and Pratt). */
function bordersOf(words: string): Uint32Array {
  const borders = new Uint32Array(words.length);
  let length = 0;
  for (let i = 1; i < words.length; i++) {
    while (length > 0 && words.charCodeAt(i) !== words.charCodeAt(length)) length = borders[length - 1] ?? 0;
    if (words.charCodeAt(i) === words.charCodeAt(length)) length++;
    borders[i] = length;
  }
  return borders;
}

function hasFrom(text: string, from: number, words: string, borders: Uint32Array): boolean {
  let length = 0;
  for (let i = from; i < text.length; i++) {
    while (length > 0 && text.charCodeAt(i) !== words.charCodeAt(length)) length = borders[length - 1] ?? 0;
    if (text.charCodeAt(i) === words.charCodeAt(length)) length++;
    if (length === words.length) return true;
  }
  return false;
}
