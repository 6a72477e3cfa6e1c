import { limits } from '../../limits.ts';
import { type Item, type ItemReader, itemsOfDer, problem, strictBase64 } from './item.ts';

const PROPERTY = /^(?:[A-Za-z0-9-]{1,100}\.)?([A-Za-z0-9-]{1,100})((?:;(?:[^":]|"[^"]*")*)?):/s;
/** Media types of S/MIME certificates (RFC 2585 §4.1, RFC 8551 §3.2.2), and what older programs write. */
const DATA = /^data:([^;,]*)((?:;[^;,]*)*),(.*)$/is;
const CERTIFICATE_TYPES =
  /^(application\/(pkix-cert|x-x509-(user|email)-cert|x-x509-ca-cert|pkcs7-mime|x-pkcs7-(mime|certificates))|)$/i;

/**
 * KEY of vCards: version 4.0 (RFC 6350 §6.8.1: a data: URI, RFC 2397), 3.0 (RFC 2426 §3.7.2: ENCODING=b) and 2.1. Keys of OpenPGP and
 * keys that only an address names are told as not taken.
 */
export function vcardReader(): ItemReader {
  let parts: string[] = [];
  let begun = 0;
  let characters = 0;
  let card = 0;
  let inside = false;
  let name = '';

  const place = () => (name === '' ? `line ${begun}` : `line ${begun} (${name})`);

  function finished(): Item[] {
    const text = parts.join('');
    const tooLong = characters > limits.directory.importValueOctets;
    [parts, characters] = [[], 0];
    const match = PROPERTY.exec(text);
    if (match === null) {
      return text.trim() === '' ? [] : [problem(place(), 'This is no line of a vCard.')];
    }
    const [whole, property = '', parameters = ''] = match;
    const value = text.slice(whole.length);
    switch (property.toUpperCase()) {
      case 'BEGIN':
        return begins(value);
      case 'END': {
        const items = inside ? [] : [problem(place(), 'END without BEGIN.')];
        [inside, name] = [false, ''];
        return items;
      }
      case 'FN':
        name = value.slice(0, SHOWN);
        return [];
      case 'KEY':
        if (!inside) return [problem(place(), 'It stands in no vCard.')];
        return tooLong ? [problem(place(), 'The key is too long.')] : keyItems(parameters, value, place());
      default:
        return [];
    }
  }

  function begins(value: string): Item[] {
    if (value.trim().toUpperCase() !== 'VCARD') return [];
    const items = inside ? [problem(`card ${card}`, 'Its END line is missing.')] : [];
    [inside, name] = [true, ''];
    card++;
    return items;
  }

  return {
    line(text, number) {
      // RFC 6350 §3.2: a line that begins with a space or a tab goes on with the line before.
      if (/^[ \t]/.test(text) && parts.length > 0) {
        characters += text.length - 1;
        if (characters <= limits.directory.importValueOctets) parts.push(text.slice(1));
        return [];
      }
      const items = finished();
      [parts, begun, characters] = [[text], number, text.length];
      return items;
    },
    end() {
      const items = finished();
      return inside ? [...items, problem(`card ${card}`, 'Its END line is missing.')] : items;
    },
  };
}

const SHOWN = 200;

function keyItems(parameters: string, value: string, place: string): Item[] {
  if (/[;,=]PGP\b/i.test(parameters) || /^data:application\/pgp-keys/i.test(value)) {
    return [problem(place, 'It is a key of OpenPGP.')];
  }
  const data = DATA.exec(value.replace(/\\([,;:\\])/g, '$1'));
  if (data !== null) {
    const [, type = '', more = '', content = ''] = data;
    if (!CERTIFICATE_TYPES.test(type)) return [problem(place, 'It is no certificate by its media type.')];
    if (!/;base64$/i.test(more)) return [problem(place, 'It is not in base64.')];
    return base64Items(percentDecoded(content), place);
  }
  if (/^[a-z][a-z0-9+.-]*:\S/i.test(value) && !/[;=]ENCODING=(b|BASE64)\b/i.test(parameters)) {
    return [problem(place, 'It is named by an address, which is not fetched.')];
  }
  if (!/;(?:ENCODING=)?(b|BASE64)(?:;|$)/i.test(parameters)) {
    return [problem(place, 'It is neither a data: URI nor in base64.')];
  }
  return base64Items(value.replace(/[ \t]/g, ''), place);
}

function base64Items(text: string, place: string): Item[] {
  const octets = strictBase64(text);
  return octets === null ? [problem(place, 'Its base64 is damaged.')] : itemsOfDer(octets, place);
}

/** RFC 2397: characters of base64 may be percent-encoded. */
function percentDecoded(text: string): string {
  return text.replace(/%(2B|2F|3D)/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
