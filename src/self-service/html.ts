/** Markup that is safe to send: what is not markup was escaped on its way in. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Piece = Html | string | number | null | readonly Html[];

/** A template in which strings are text and never markup, in elements and in quoted attributes alike. Null is nothing. */
export function html(markup: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  return new Html(markup.reduce((text, next, index) => text + written(pieces[index - 1] ?? null) + next));
}

function written(piece: Piece): string {
  if (piece === null) return '';
  if (piece instanceof Html) return piece.text;
  if (typeof piece === 'string' || typeof piece === 'number') return escaped(String(piece));
  return piece.map(({ text }) => text).join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

function escaped(text: string): string {
  return (
    text
      .replaceAll(/[&<>"'`]/g, (character) => ENTITIES[character] ?? '')
      // No character of HTML (lone surrogates would be replaced on the way anyway).
      .replaceAll(/[\p{Cs}]|(?![\t\n])\p{Cc}/gu, '\ufffd')
  );
}
