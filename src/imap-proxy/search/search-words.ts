import { folded } from '../../reading/search-text.ts';

/** Reads the strings of a search: in its charset (RFC 9051 §6.4.4), folded as texts are. */
export type WordsReader = (octets: Buffer) => string | null;

/**
 * @param charset as the client names it; null: it names none, so ASCII, or UTF-8 where its octets can be that
 * @returns null for octets that are not in that charset, or for a charset that is not known here: no text holds them
 */
export function wordsReader(charset: string | null): WordsReader {
  const decode = decoderOf(charset ?? 'utf-8');
  return (octets) => {
    const text = decode(octets);
    return text === null ? null : folded(text);
  };
}

function decoderOf(charset: string): (octets: Buffer) => string | null {
  // WHATWG's decoders take ASCII for Windows-1252; a client that says ASCII and sends more means UTF-8.
  const label = /^(?:us-)?ascii$/i.test(charset) ? 'utf-8' : charset;
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true });
  } catch (error) {
    if (error instanceof RangeError) return () => null;
    throw error;
  }
  return (octets) => {
    try {
      return decoder.decode(octets);
    } catch (error) {
      if (error instanceof TypeError) return null;
      throw error;
    }
  };
}
