import { describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { textOfHtml } from '../../src/reading/html-text.ts';
import { folded, searchTextOf } from '../../src/reading/search-text.ts';
import { countedTurns } from '../octets/support/counted-turns.ts';

async function bodyOf(...lines: string[]): Promise<string> {
  return (await searchTextOf(Buffer.from(lines.join('\r\n'), 'latin1'))).body.trim();
}

function has(body: string, words: string): boolean {
  return body.includes(folded(words));
}

describe('the words of a view', () => {
  test('are those of the decoded text, in whatever charset and transfer encoding', async () => {
    const latin = await bodyOf(
      'Content-Type: text/plain; charset=iso-8859-15',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      'Stra=DFe in M=FCn=',
      'chen f=FCr 5 =A4',
    );
    expect(has(latin, 'STRASSE in münchen für 5 €')).toBe(true);
    const base64 = Buffer.from('Привет, мир').toString('base64');
    expect(
      has(
        await bodyOf(
          'Content-Type: text/plain; charset=utf-8',
          'Content-Transfer-Encoding: base64',
          '',
          base64,
        ),
        'ПРИВЕТ',
      ),
    ).toBe(true);
    expect(has(await bodyOf('', 'nothing said: Gr\xc3\xbc\xc3\x9fe'), 'grüsse')).toBe(true);
    expect(has(await bodyOf('Content-Type: text/plain; charset=no-such', '', 'Gr\xfc\xdfe'), 'grüße')).toBe(
      true,
    );
  });

  test('go on over line ends and runs of blanks', async () => {
    expect(has(await bodyOf('', 'the cellar', '  door'), 'Cellar Door')).toBe(true);
  });

  test('are those of all text parts, of messages inside and of names of attachments', async () => {
    const body = await bodyOf(
      'Content-Type: multipart/mixed; boundary=b',
      ...[
        '',
        '--b',
        'Content-Type: text/plain',
        '',
        'first',
        '--b',
        'Content-Type: text/html',
        '',
        '<p>sec<b>ond</b></p>',
      ],
      ...[
        '--b',
        'Content-Type: application/pdf; name="=?utf-8?Q?gr=C3=BCn.pdf?="',
        '',
        'unread words',
        '--b',
      ],
      ...['Content-Type: message/rfc822', '', 'Subject: =?iso-8859-1?Q?t=F6ne?=', '', 'inside', '--b--', ''],
    );
    for (const words of ['first', 'second', 'grün.pdf', 'Subject: töne', 'inside'])
      expect(has(body, words)).toBe(true);
    expect(has(body, 'unread words')).toBe(false);
  });

  test('of the header are decoded, field by field', async () => {
    const { fields } = await searchTextOf(
      Buffer.from('Subject: =?utf-8?B?R3LDvMOfZQ==?= now\r\nX-A: one\r\n two\r\n\r\n'),
    );
    expect(fields).toEqual([
      { name: 'subject', text: 'grüsse now' },
      { name: 'x-a', text: 'one two' },
    ]);
  });

  test('damage costs words, not an error', async () => {
    expect(
      has(await bodyOf('Content-Transfer-Encoding: base64', '', 'aGVsbG8gd29ybGQ=!!!', '=='), 'hello'),
    ).toBe(true);
    expect(has(await bodyOf('Content-Transfer-Encoding: quoted-printable', '', 'one =ZZ t=77o'), 'two')).toBe(
      true,
    );
    const deep = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n'.repeat(300);
    expect((await searchTextOf(Buffer.from(deep))).body.length).toBeLessThan(100_000);
  });

  test('attack: there is an end to what is kept', async () => {
    const grown = Buffer.from(`Content-Type: text/plain; charset=utf-8\r\n\r\n${'ﷺ'.repeat(300_000)}`);
    expect((await searchTextOf(grown)).body.length).toBeLessThanOrEqual(limits.searchText.characters);
  });
});

describe('HTML', () => {
  test.each([
    ['a<br>b', 'a b'],
    ['w<b>o</b>rd', 'word'],
    ['<style>p { color: red }</style>x<script>if (a < b) y()</script>z', ' x z'],
    ['<!-- hidden <p> -->shown', 'shown'],
    ['<a href="x>y">link</a>', 'link'],
    ['1 < 2 &amp; 3 &gt; 2 &uuml;&#252;&#xFC; &Uuml; &copy', '1 < 2 & 3 > 2 üüü Ü ©'],
    ['&unknown; &#0; &#xD800; &#9999999;', '&unknown;      '],
    ['cut <p', 'cut  '],
    ["<td title='a>b'>x", ' x'],
    ['a<script>b</scripted>c</script >d', 'a d'],
    ['a<style>b</style', 'a '],
    [`<p>${'x'.repeat(8_190)}&amp;<p>&uuml;`, ` ${'x'.repeat(8_190)}& ü`],
  ])('%s', (html, text) => {
    expect([...textOfHtml(html)].join('')).toBe(text);
  });
});

describe('attack: others have their turn while words are looked for in', () => {
  const head = 'Content-Type: text/html; charset=utf-8\r\n\r\n';
  test.each([
    ['tags', `${head}${'<b>'.repeat(300_000)}`, 200],
    ['what is no tag', `${head}${'<'.repeat(1_000_000)}`, 500],
    ['character references', `${head}${'&amp;'.repeat(200_000)}`, 100],
    ['text between tags', `${head}${'<p>x'.repeat(200_000)}`, 150],
    ['fields', `${'Subject: =?utf-8?q?=41?=\r\n'.repeat(5_000)}\r\n`, 5_000],
    ['parts', `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(9_000)}`, 9_000],
  ])('%s', async (_, view, least) => {
    const { slice, turns } = countedTurns();
    await searchTextOf(Buffer.from(view), slice);
    expect(turns()).toBeGreaterThanOrEqual(least);
  });
});

test('attack: of very many marks on one letter those are compared that a text may have', () => {
  const marks = '\u0315\u0300'.repeat(100_000);
  // Sorting them takes the square of their number.
  expect(folded(`a${marks}b`)).toBe(folded(`a${marks.slice(0, 30)}b`));
  expect(folded(`a${marks.slice(0, 30)}b`)).toBe(`a${'\u0315\u0300'.repeat(15)}b`.normalize('NFKC'));
});

test('case, width and composition make no difference', async () => {
  for (const [one, other] of [
    ['ΟΔΟΣ', 'οδος'],
    ['Straße', 'STRASSE'],
    ['ﬁn', 'FIN'],
    ['Ａｂ', 'ab'],
    ['e\u0301', 'é'],
    ['co\u00adop', 'coop'],
  ]) {
    expect(folded(one ?? '')).toBe(folded(other ?? ''));
  }
});
