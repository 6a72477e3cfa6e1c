import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entity } from '../../src/mail/entity.ts';
import { readEntity } from '../../src/mail/entity-tree.ts';
import { withoutLegacyDisplay } from '../../src/mail/header-protection-display.ts';
import { withLegacyDisplay } from '../../src/mail/header-protection-legacy.ts';
import { sevenBitSafe } from '../../src/mail/seven-bit-safe.ts';
import { decodeBody } from '../../src/mail/transfer-encoding.ts';

function leaves(entity: Entity): Entity[] {
  return entity.parts.length === 0 ? [entity] : entity.parts.flatMap(leaves);
}

/** Every leaf as a reader sees it. */
function texts(octets: Buffer): string[] {
  return leaves(readEntity(octets)).map((part) => {
    const charset = part.mediaType.parameters.get('charset') ?? 'utf-8';
    return new TextDecoder(charset).decode(decodeBody(octets, part));
  });
}

function part(fields: readonly string[], body: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${fields.join('\r\n')}\r\n\r\n`), Buffer.from(body)]);
}

const HTML = '<html><head><title>t</title></head><body class="a"><p>Hi <b>Bob</b></p></body></html>\r\n';

const MIXED = part(
  ['Content-Type: multipart/mixed; boundary=m'],
  [
    '--m',
    'Content-Type: multipart/alternative; boundary=a',
    '',
    '--a',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    'Hi =C3=A9',
    '--a',
    'Content-Type: text/html; charset=utf-8',
    'Content-Transfer-Encoding: base64',
    '',
    Buffer.from(HTML).toString('base64'),
    '--a--',
    '--m',
    'Content-Type: text/plain',
    'Content-Disposition: attachment; filename=notes.txt',
    '',
    'notes',
    '--m--',
    '',
  ].join('\r\n'),
);

describe('a Legacy Display Element (RFC 9788 §5.2)', () => {
  it('stands above the text of the main body parts and in no attachment', () => {
    const marked = withLegacyDisplay(MIXED, 'the cellar =?utf-8?Q?d=C3=B6or?=');
    const [plain, html, notes] = texts(marked);
    expect(plain).toBe('Subject: the cellar döor\r\n\r\nHi é');
    expect(html).toBe(
      HTML.replace(
        '<p>',
        '<div class="header-protection-legacy-display"><pre>Subject: the cellar d&#246;or</pre></div><p>',
      ),
    );
    expect(notes).toBe('notes');
    const parameters = leaves(readEntity(marked)).map((each) =>
      each.mediaType.parameters.get('hp-legacy-display'),
    );
    expect(parameters).toEqual(['1', '1', undefined]);
    expect(texts(withoutLegacyDisplay(marked))).toEqual(texts(MIXED));
  });

  it('cannot break out of its element', () => {
    const [html] = texts(
      withLegacyDisplay(part(['Content-Type: text/html'], HTML), '</pre></div><script>"x"&'),
    );
    expect(html).not.toContain('<script>');
    expect(html).toContain('&#60;/pre&#62;&#60;/div&#62;&#60;script&#62;&#34;x&#34;&#38;');
  });

  it.each([
    ['text/plain', 'Grüße', 'utf-8'],
    ['text/plain; charset=iso-8859-1', 'Grüße', 'iso-8859-1'],
    ['text/plain; charset=koi8-r', 'Привет', 'koi8-r'],
    ['text/plain; charset=utf-8', '日本', 'utf-8'],
  ])('in %s is written in its charset, or in UTF-8 where it was US-ASCII', (type, subject, charset) => {
    const marked = withLegacyDisplay(
      part([`Content-Type: ${type}`], 'Hi\r\n'),
      Buffer.from(subject).toString('latin1'),
    );
    expect(readEntity(marked).mediaType.parameters.get('charset')).toBe(charset);
    const sent = sevenBitSafe(marked);
    expect(texts(sent)).toEqual([`Subject: ${subject}\r\n\r\nHi\r\n`]);
    expect(texts(withoutLegacyDisplay(sent))).toEqual(['Hi\r\n']);
  });

  it.each([
    ['a charset that has no letters for it', 'text/plain; charset=iso-8859-1', '日本'],
    ['UTF-16', 'text/plain; charset=utf-16le', 'Hi'],
    ['a multipart that somebody has signed', 'multipart/signed; boundary=x; protocol=y', 'Hi'],
    ['what is no text', 'application/pdf', 'Hi'],
    ['nothing to say', 'text/plain', ' \t'],
  ])('is not there for %s', (_, type, subject) => {
    const octets = part([`Content-Type: ${type}`], '--x\r\nContent-Type: text/plain\r\n\r\nHi\r\n--x--\r\n');
    expect(withLegacyDisplay(octets, Buffer.from(subject).toString('latin1'))).toBe(octets);
  });

  it('is taken out where it was put in, whatever the text (property)', () => {
    const body = fc.array(
      fc.constantFrom('a', '\r\n', 'é', '<div>', '</div>', '<body>', ' ', 'Subject: x', '=', '.'),
      {
        maxLength: 30,
      },
    );
    const type = fc.constantFrom('text/plain', 'text/html');
    const encoding = fc.constantFrom('8bit', 'base64', 'quoted-printable');
    const subject = fc.string({ minLength: 1, unit: 'grapheme' });
    fc.assert(
      fc.property(body, type, encoding, subject, (words, mediaType, how, about) => {
        const text = words.join('');
        const encoded =
          how === 'base64'
            ? Buffer.from(text).toString('base64')
            : how === 'quoted-printable'
              ? text
                  .replace(/[é=]/g, (char) => (char === '=' ? '=3D' : '=C3=A9'))
                  .replace(/ (?=\r\n|$)/g, '=20')
              : text;
        const octets = part(
          [`Content-Type: ${mediaType}; charset=utf-8`, `Content-Transfer-Encoding: ${how}`],
          encoded,
        );
        const marked = withLegacyDisplay(octets, Buffer.from(about).toString('latin1'));
        expect(texts(withoutLegacyDisplay(marked))).toEqual(texts(octets));
      }),
      { numRuns: 300 },
    );
  });
});
