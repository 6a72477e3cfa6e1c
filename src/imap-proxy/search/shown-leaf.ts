import { isAuthored } from '../../mail/header-protection-fields.ts';
import { shellFields } from '../../mail-view/shape.ts';
import type { ViewNames } from '../../mail-view/view-names.ts';
import { folded, type SearchText } from '../../reading/search-text.ts';
import { finder } from './finder.ts';
import { dayOfDateField } from './search-date.ts';
import { ALL, anyOf, NONE, type SearchKey, type ShownLeaf, type ShownTest } from './search-key.ts';
import type { WordsReader } from './search-words.ts';

/** The class of the messages for which the mail server's answer to a criterion is not the view's. */
export type Differs =
  /** For no message. */
  | 'never'
  /** Opened ones whose protected header fields are shown (RFC 9788). */
  | 'protected'
  /** All that are shown as views. */
  | 'view'
  /** Every message: it is about what only this gateway writes (forged in what is stored, or absent). */
  | 'ours';

export function differs(test: ShownTest, names: ViewNames): Differs {
  switch (test.on) {
    case 'body':
    case 'text':
      // Nothing to look for is found everywhere.
      return test.words.length === 0 ? 'never' : 'view';
    case 'date':
      return 'protected';
    case 'header':
      return fieldDiffers(test.field, test.words, names);
  }
}

function fieldDiffers(field: string, words: Buffer, { installationId }: ViewNames): Differs {
  if (field.startsWith(`x-sealgate-${installationId}`)) return 'ours';
  if (field === 'authentication-results') {
    return words.toString('latin1').toLowerCase().includes(installationId) ? 'ours' : 'view';
  }
  if (field === 'mime-version' || /^(?:content|dkim|arc|x-orig)-/.test(field)) return 'view';
  return isAuthored(field) ? 'protected' : 'never';
}

/** Whether a view that was opened has what is looked for. */
export function matcher(test: ShownTest, read: WordsReader): (text: SearchText) => boolean {
  switch (test.on) {
    case 'body': {
      const has = finder(read(test.words));
      return ({ body }) => has(body);
    }
    case 'text': {
      const has = finder(read(test.words));
      return ({ body, fields }) => has(body) || fields.some(({ name, text }) => has(`${name}: ${text}`));
    }
    case 'header': {
      const has = finder(read(test.words));
      return ({ fields }) => fields.some(({ name, text }) => name === test.field && has(text));
    }
    case 'date':
      return ({ fields }) => {
        const value = fields.find(({ name }) => name === 'date')?.text;
        const day = value === undefined ? null : dayOfDateField(value);
        return day !== null && isRelated(day, test);
      };
  }
}

function isRelated(day: number, test: Extract<ShownTest, { on: 'date' }>): boolean {
  switch (test.relation) {
    case 'before':
      return day < test.day;
    case 'on':
      return day === test.day;
    case 'since':
      return day >= test.day;
  }
}

/**
 * A criterion for a message that is shown as a view and was not opened yet: of its content nothing is known, of its header what
 * listings say. The mail server answers for the rest of the header.
 */
export function unopened(leaf: ShownLeaf, names: ViewNames, read: WordsReader): SearchKey {
  const { test } = leaf;
  switch (differs(test, names)) {
    case 'never':
    case 'protected':
      return leaf;
    case 'ours':
      return NONE;
    case 'view':
      break;
  }
  switch (test.on) {
    case 'body':
    case 'date':
      return NONE;
    case 'text':
      return inListedFields(leaf);
    case 'header':
      if (test.field === 'authentication-results') return leaf;
      return finder(read(test.words))(folded(shellValue(test.field))) && shellValue(test.field) !== ''
        ? ALL
        : NONE;
  }
}

/** What a listing says of a shell; '' for a field that it has not. The boundary is no word that anybody looks for. */
function shellValue(field: string): string {
  const shell = shellFields('');
  if (field === 'mime-version') return fieldValue(shell.mimeVersion);
  return field === 'content-type' ? fieldValue(shell.contentType) : '';
}

function fieldValue(line: string): string {
  return line.slice(line.indexOf(':') + 1).trim();
}

/** What nobody looks for in a header; five times as much would be more than servers take. */
const LONG_WORDS = 1_000;

/** TEXT is looked for in the body too, where a mail server would find the words of the ciphertext. */
function inListedFields(leaf: ShownLeaf): SearchKey {
  if (leaf.test.on === 'text' && leaf.test.words.length > LONG_WORDS) return NONE;
  // Behind the name.
  const words = leaf.written.slice(1);
  return ['SUBJECT', 'FROM', 'TO', 'CC', 'BCC']
    .map((name): SearchKey => ({ kind: 'stored', written: [`${name} `, ...words] }))
    .reduceRight((other, one) => anyOf(one, other));
}
