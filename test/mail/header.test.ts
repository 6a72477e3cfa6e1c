import { describe, expect, it } from 'vitest';
import { field, fieldsNamed, malformedLines, readHeader } from '../../src/mail/header.ts';
import { readMediaType, readParameterised } from '../../src/mail/media-type.ts';

function header(text: string) {
  const octets = Buffer.from(text, 'latin1');
  return readHeader(octets, 0, octets.length);
}

describe('header fields (RFC 5322 §2.2)', () => {
  it('keeps ranges, names as written, and unfolded values octet by octet', () => {
    const { fields, range, bodyStart } = header('Subject: a\r\n b\r\n\tc\r\nX-Y:\xe9\r\n\r\nbody');
    expect(fields).toEqual([
      { name: 'Subject', value: 'a b\tc', range: { start: 0, end: 20 } },
      { name: 'X-Y', value: '\xe9', range: { start: 20, end: 27 } },
    ]);
    expect(range).toEqual({ start: 0, end: 27 });
    expect(bodyStart).toBe(29);
  });

  it('shows duplicates', () => {
    const { fields } = header('A: 1\r\na: 2\r\nB: 3\r\n\r\n');
    expect(field(fields, 'a')).toMatchObject({ kind: 'several' });
    expect(field(fields, 'B')).toMatchObject({ kind: 'one', field: { value: '3' } });
    expect(field(fields, 'c')).toEqual({ kind: 'none' });
    expect(fieldsNamed(fields, 'A').map((each) => each.value)).toEqual(['1', '2']);
  });

  it.each([
    ['From joe Thu Jan 1 00:00:00 1970'],
    ['no colon'],
    ['Name with blank: x'],
    [': x'],
    [' a continuation of nothing'],
    ['N\xe4me: x'],
  ])('keeps the line %j visible as malformed', (line) => {
    const { fields } = header(`${line}\r\nA: 1\r\n\r\n`);
    expect(malformedLines(fields).map((each) => each.value)).toEqual([line]);
    expect(field(fields, 'a').kind).toBe('one');
  });

  it('hides no field as a continuation of a malformed line', () => {
    const { fields } = header('bad line\r\n From: x\r\n\r\n');
    expect(malformedLines(fields).length).toBe(2);
  });

  it('takes a line of blanks for a continuation, not for the end of the header', () => {
    expect(header('A: 1\r\n \r\nB: 2\r\n\r\n').fields.map((each) => each.name)).toEqual(['A', 'B']);
  });

  it('does not take a lone CR for a line end', () => {
    expect(header('A: 1\rB: 2\r\n\r\n').fields.map((each) => each.value)).toEqual(['1\rB: 2']);
  });

  it('reads a header without body, without final line end, and none at all', () => {
    expect(header('A: 1')).toMatchObject({ fields: [{ name: 'A' }], bodyStart: 4 });
    expect(header('')).toEqual({ fields: [], range: { start: 0, end: 0 }, bodyStart: 0 });
    expect(header('\r\nA: 1')).toMatchObject({ fields: [], bodyStart: 2 });
  });
});

describe('Content-Type (RFC 2045 §5.1, RFC 2231)', () => {
  const parameters = (value: string) => Object.fromEntries(readMediaType(value)?.parameters ?? []);

  it('reads type, parameters, quotes and comments', () => {
    expect(readMediaType('Text/Plain; charset=us-ascii (Plain text)')).toMatchObject({
      type: 'text',
      subtype: 'plain',
    });
    expect(parameters('text/plain; charset="us-ascii"; format=flowed;')).toEqual({
      charset: 'us-ascii',
      format: 'flowed',
    });
    expect(parameters('application/x; name="a;b\\"c(d)"')).toEqual({ name: 'a;b"c(d)' });
  });

  it('joins continuations and decodes extended values (examples of RFC 2231)', () => {
    expect(
      parameters(
        `application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2="isn't it!"`,
      ),
    ).toEqual({ title: "This is even more ***fun*** isn't it!" });
    expect(parameters('message/external-body; URL*0="ftp://"; URL*1="cs.utk.edu/x"')).toEqual({
      url: 'ftp://cs.utk.edu/x',
    });
    expect(parameters("application/x; name*=utf-8''%e2%82%ac.pdf; name=x.pdf")).toEqual({ name: '€.pdf' });
  });

  it('is kind to leaves', () => {
    expect(parameters('application/pdf; name=my file.pdf')).toEqual({ name: 'my file.pdf' });
    expect(parameters('application/pdf; name=a[1]=b.pdf')).toEqual({ name: 'a[1]=b.pdf' });
  });

  it.each([
    '',
    'text',
    'text/',
    '/plain',
    'text/plain/x',
    'text/pl ain',
    'text plain',
    'a/b; x="',
    'a/b; x=1; x=2',
    'a/b (c',
  ])('does not read %j', (value) => {
    expect(readMediaType(value)).toBeNull();
  });

  it('reads Content-Disposition with the same grammar', () => {
    expect(readParameterised('attachment; filename=smime.p7m')).toMatchObject({
      word: 'attachment',
      exact: true,
    });
  });
});
