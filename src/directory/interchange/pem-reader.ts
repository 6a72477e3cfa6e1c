import { limits } from '../../limits.ts';
import { type Item, type ItemReader, itemsOfDer, problem, strictBase64 } from './item.ts';

const LABELS = /^(CERTIFICATE|X509 CERTIFICATE|X\.509 CERTIFICATE|PKCS7|CMS)$/;

/** Certificates and PKCS #7 objects between PEM lines (RFC 7468); other objects and what stands between are passed over. */
export function pemReader(): ItemReader {
  let label: string | null = null;
  let begun = 0;
  let base64: string[] = [];
  let octets = 0;

  function finished(): Item[] {
    if (label === null || !LABELS.test(label)) return [];
    const place = `line ${begun}`;
    if (octets > limits.directory.importValueOctets) return [problem(place, 'It is too long.')];
    const der = strictBase64(base64.join(''));
    return der === null ? [problem(place, 'Its base64 is damaged.')] : itemsOfDer(der, place);
  }

  return {
    line(text, number) {
      const trimmed = text.trim();
      const begins = /^-----BEGIN ([ -~]{1,64})-----$/.exec(trimmed);
      if (begins !== null) {
        const unfinished = label === null ? [] : [problem(`line ${begun}`, 'Its END line is missing.')];
        [label, begun, base64, octets] = [begins[1] ?? '', number, [], 0];
        return unfinished;
      }
      if (label === null) return [];
      if (trimmed === `-----END ${label}-----`) {
        const items = finished();
        label = null;
        return items;
      }
      octets += trimmed.length;
      if (octets <= limits.directory.importValueOctets) base64.push(trimmed);
      return [];
    },
    end() {
      return label === null ? [] : [problem(`line ${begun}`, 'Its END line is missing.')];
    },
  };
}
