import { describe, expect, it } from 'vitest';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { visibleRecipients } from '../../src/pipeline/visible-recipients.ts';
import { mail } from './support/ports.ts';

function shownIn(...fields: readonly string[]): string[] {
  return [...visibleRecipients(readMessage(mail(fields)).root.fields)];
}

describe('whom a header shows to everybody', () => {
  it.each([
    ['To and Cc', ['To: a@example.org', 'Cc: b@example.org'], ['a@example.org', 'b@example.org']],
    [
      'lists and names',
      ['To: "A, a" <a@example.org>,\r\n b@Example.ORG'],
      ['a@example.org', 'b@example.org'],
    ],
    ['several fields', ['To: a@example.org', 'TO: b@example.org'], ['a@example.org', 'b@example.org']],
    [
      'members of a group',
      ['To: friends: a@example.org, b@example.org;'],
      ['a@example.org', 'b@example.org'],
    ],
    ['nobody in an empty group', ['To: undisclosed-recipients:;'], []],
    ['not Bcc', ['Bcc: a@example.org', 'Resent-To: b@example.org'], []],
    [
      'nobody from a name that looks like an address',
      ['To: "c@example.org" <a@example.org>'],
      ['a@example.org'],
    ],
    [
      'nobody from a field that cannot be read',
      ['To: a@example.org, <<', 'Cc: b@example.org'],
      ['b@example.org'],
    ],
    ['nobody from a line that is no field', ['To : a@example.org'], []],
    ['UTF-8', ['To: jürgen@bücher.example'], ['jürgen@xn--bcher-kva.example']],
    ['nothing', [], []],
  ])('%s', (_, fields, shown) => {
    expect(shownIn('From: x@example.org', ...fields)).toEqual(shown);
  });
});
