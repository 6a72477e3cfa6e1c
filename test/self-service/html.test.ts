import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { html } from '../../src/self-service/html.ts';

test('strings are text, wherever they stand; pieces are kept', () => {
  const evil = `"><script>alert('x')</script>&amp;\``;
  expect(html`<a href="${evil}">${evil}${html`<b>${1}</b>`}${null}</a>`.text).toBe(
    '<a href="&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;&#96;">&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;&#96;<b>1</b></a>',
  );
});

test('no text becomes markup', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 0xffff })), (units) => {
      const text = String.fromCharCode(...units);
      const { text: written } = html`${text}`;
      expect([written.match(/[<>"'`\0\x1b\r]/), written.isWellFormed()]).toEqual([null, true]);
    }),
  );
});

test('control characters and halves of characters are shown as what cannot be shown', () => {
  expect(html`a${'\0\x1b\ud800b\n'}`.text).toBe('a\ufffd\ufffd\ufffdb\n');
});
