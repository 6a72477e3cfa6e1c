import { CONTENT_ROWS, RECIPIENT_ROWS, SEVERAL_ROWS } from './encryption-rows.ts';
import { KEY_FILE_ROWS } from './key-file-rows.ts';
import { MAIL_ROWS } from './mail-rows.ts';
import { SIGNATURE_ROWS, SIGNED_FORM_ROWS } from './signature-rows.ts';
import type { Row } from './specification.ts';

/** Every line of the table, in its order. */
export const ROWS: readonly Row[] = [
  ...SIGNATURE_ROWS,
  ...SIGNED_FORM_ROWS,
  ...CONTENT_ROWS,
  ...RECIPIENT_ROWS,
  ...SEVERAL_ROWS,
  ...MAIL_ROWS,
  ...KEY_FILE_ROWS,
];
