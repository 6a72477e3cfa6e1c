/** Characters in a piece of text at most, and tags that are looked at for one. */
const PIECE = 8_192;
const TAGS = 1_024;

/**
 * The words of an HTML text: tags, comments, scripts and styles off, character references decoded. For searching only: what is
 * shown to somebody is never made of it. One walk, whatever the text; in pieces, of which none takes long and some are empty.
 */
export function* textOfHtml(html: string): Generator<string, void> {
  let text = '';
  let from = 0;
  let looks = 0;
  for (let open = html.indexOf('<'); open !== -1; ) {
    const tag = tagAt(html, open);
    if (tag === null) open = html.indexOf('<', open + 1);
    else {
      text += html.slice(from, open);
      if (!INLINE.has(tag.name)) text += ' ';
      from = tag.silent ? afterElement(html, tag.end, tag.name) : tag.end;
      open = html.indexOf('<', from);
    }
    if (text.length > PIECE) text = yield* piecesOf(text);
    if (++looks % TAGS === 0) yield '';
  }
  yield decodeReferences(yield* piecesOf(text + html.slice(from)));
}

/** All but what is left in the end, which is less than one piece. */
function* piecesOf(text: string): Generator<string, string> {
  let at = 0;
  while (text.length - at > PIECE) {
    // Not through a character reference.
    const reference = text.lastIndexOf('&', at + PIECE);
    const end = reference > at + PIECE - REFERENCE ? reference : at + PIECE;
    yield decodeReferences(text.slice(at, end));
    at = end;
  }
  return text.slice(at);
}

/** No character reference has as many characters. */
const REFERENCE = 16;

type Tag = {
  name: string /** After it. */;
  end: number /** Whether its content is no text. */;
  silent: boolean;
};

/** null: no tag. */
function tagAt(html: string, open: number): Tag | null {
  if (html.startsWith('<!--', open)) {
    const close = html.indexOf('-->', open + 4);
    return { name: '!--', end: close === -1 ? html.length : close + 3, silent: false };
  }
  NAME.lastIndex = open + 1;
  const found = NAME.exec(html);
  if (found === null) return null;
  const name = (found[2] ?? '').toLowerCase();
  return { name, end: tagEnd(html, NAME.lastIndex), silent: found[1] === '' && SILENT.has(name) };
}

/** After the `>` that no quoted attribute holds. */
function tagEnd(html: string, from: number): number {
  let quote = '';
  for (let i = from; i < html.length; i++) {
    const character = html.charAt(i);
    if (quote !== '') {
      if (character === quote) quote = '';
    } else if (character === '>') return i + 1;
    // Only a value is quoted: a lone quote in damaged markup hides nothing.
    else if ((character === '"' || character === "'") && html.charAt(i - 1) === '=') quote = character;
  }
  return html.length;
}

function afterElement(html: string, from: number, name: string): number {
  const close = new RegExp(`</${name}[^a-z0-9]`, 'gi');
  close.lastIndex = from;
  const found = close.exec(html);
  const end = found === null ? -1 : html.indexOf('>', found.index);
  return end === -1 ? html.length : end + 1;
}

const NAME = /(\/?)([a-z][a-z0-9:-]{0,40}|[!?][a-z]*)/iy;
const SILENT: ReadonlySet<string> = new Set(['script', 'style']);
/** Tags in the middle of words; `wbr` is made for that. */
const INLINE: ReadonlySet<string> = new Set(
  '!-- a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd mark o:p q s samp small span strike strong sub sup tt u var wbr'.split(
    ' ',
  ),
);

function decodeReferences(text: string): string {
  return text.replace(
    /&(?:#([0-9]{1,7})|#x([0-9a-f]{1,6})|([a-z0-9]{2,10}));?/gi,
    (whole, decimal, hex, name) => {
      if (name !== undefined) return NAMED.get(name) ?? NAMED.get(name.toLowerCase()) ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)
        ? String.fromCodePoint(code)
        : ' ';
    },
  );
}

/** Named character references of HTML 4: those of ISO 8859-1 from 160 on in their order, and the frequent ones beyond. */
const LATIN1 =
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para middot ' +
  'cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml ' +
  'Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig ' +
  'agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ' +
  'ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml';

const NAMED: ReadonlyMap<string, string> = new Map([
  ...LATIN1.split(' ').map((name, index): [string, string] => [name, String.fromCharCode(160 + index)]),
  ...Object.entries({
    ...{ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", euro: '€', ndash: '–', mdash: '—', hellip: '…' },
    ...{ lsquo: '‘', rsquo: '’', sbquo: '‚', ldquo: '“', rdquo: '”', bdquo: '„', bull: '•', trade: '™' },
    ...{
      OElig: 'Œ',
      oelig: 'œ',
      Scaron: 'Š',
      scaron: 'š',
      Yuml: 'Ÿ',
      zwnj: '',
      zwj: '',
      ensp: ' ',
      emsp: ' ',
    },
  }),
]);
