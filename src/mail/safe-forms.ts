import { unreachable } from '../errors.ts';
import { ChainedTransform, type OctetTransform } from '../octets/transform.ts';
import { Base64Encoder, Base64Rewrap } from './base64.ts';
import { CanonicalLines } from './canonical.ts';
import { LineEndsWithoutBlanks } from './line-ends.ts';
import { QuotedPrintableEncoder, QuotedPrintableRepair } from './quoted-printable.ts';
import type { Form } from './safe-plan.ts';

/** The transform that makes one of the forms, for one reading; `as-is` needs none. */
export function beginForm(form: Exclude<Form, 'as-is'>): OctetTransform {
  switch (form) {
    case 'canonical':
      return new CanonicalLines();
    case 'trimmed':
      return new ChainedTransform(new CanonicalLines(), new LineEndsWithoutBlanks());
    case 'quoted-printable':
      return new QuotedPrintableEncoder('text');
    case 'base64':
      return new Base64Encoder();
    case 'base64-of-canonical':
      return new ChainedTransform(new CanonicalLines(), new Base64Encoder());
    case 'repaired-quoted-printable':
      return new ChainedTransform(new CanonicalLines(), new QuotedPrintableRepair());
    case 'rewrapped-base64':
      return new Base64Rewrap();
    default:
      return unreachable(form);
  }
}
