import { SealgateError } from '../errors.ts';
import type { PinState, SlotDescription, TokenOnSlot } from '../hsm/management-messages.ts';
import { printable } from '../log/printable.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';

/** Readers, tokens and certificates as lines for people, and as JSON. Names on tokens and in certificates are a stranger's words. */

export function pinText(state: PinState): string {
  switch (state) {
    case 'not-set':
      return 'not set';
    case 'none-needed':
      return 'none needed';
    case 'fine':
      return 'no wrong tries that the token tells of';
    case 'count-low':
      return 'tried wrongly before: few tries are left';
    case 'final-try':
      return 'ONE TRY LEFT';
    case 'locked':
      return 'BLOCKED';
    case 'to-be-changed':
      return 'to be changed before it is used';
  }
}

/** Label and serial number. */
export function tokenName({ label, serial, initialised }: TokenOnSlot): string {
  if (!initialised) return 'not initialised';
  return `${label === '' ? 'without a label' : printable(label)}${serial === '' ? '' : ` (serial ${printable(serial)})`}`;
}

export function slotLines(slot: SlotDescription): string[] {
  const reader = `  reader       ${printable(slot.reader)}`;
  const { state } = slot;
  switch (state.kind) {
    case 'empty':
      return [reader, '    token      none: no card is in it'];
    case 'unknown':
      return [reader, `    token      one that the module cannot talk to (${printable(state.reason)})`];
    case 'token':
      return [reader, ...tokenLines(state.token).map((line) => `    ${line}`)];
  }
}

function tokenLines(token: TokenOnSlot): string[] {
  const { generates, signs, opens } = token.abilities;
  const list = (words: readonly string[]) => (words.length === 0 ? 'nothing' : words.join(', '));
  return [
    `token      ${tokenName(token)}`,
    `made by    ${printable([token.manufacturer, token.model].filter((text) => text !== '').join(', '))}`,
    ...(token.writeProtected ? ['state      write-protected'] : []),
    `PIN        ${token.pinPad ? 'typed on the reader; ' : ''}${pinText(token.pin)}`,
    `SO PIN     ${pinText(token.soPin)}`,
    `generates  ${list(generates)}`,
    `signs      ${list(signs)}`,
    `opens      ${list(opens)}`,
    ...token.publicKeys.map(
      ({ label, id, type }) => `public key ${printable(label)} (${type}${id === '' ? '' : `, id ${id}`})`,
    ),
    ...token.certificates.flatMap(({ label, id, certificate }) => [
      `certificate ${printable(label)}${id === '' ? '' : ` (id ${id})`}`,
      ...certificateLines(readable(certificate)).map((line) => `  ${line}`),
    ]),
  ];
}

/** null: on tokens there are certificates of any kind and make. */
export function readable(der: Uint8Array): Certificate | null {
  try {
    return parseCertificate(Buffer.from(der));
  } catch (error) {
    if (error instanceof SealgateError) return null;
    throw error;
  }
}

export function certificateLines(certificate: Certificate | null): string[] {
  if (certificate === null) return ['(cannot be read)'];
  const { subject, issuer, mailboxes, notBefore, notAfter } = certificate;
  return [
    `subject    ${printable(subject.text)}`,
    `addresses  ${mailboxes.length === 0 ? 'none' : mailboxes.map(printable).join(', ')}`,
    `issuer     ${printable(issuer.text)}`,
    `valid      ${day(notBefore)} to ${day(notAfter)}`,
  ];
}

export function day(date: Date): string {
  return Number.isNaN(date.getTime()) ? 'unknown' : date.toISOString().slice(0, 10);
}

export function certificateJson(certificate: Certificate | null) {
  if (certificate === null) return null;
  const { subject, issuer, mailboxes, notBefore, notAfter, serialNumber, fingerprint } = certificate;
  return {
    subject: subject.text,
    issuer: issuer.text,
    serialNumber: serialNumber.toString('hex'),
    addresses: mailboxes,
    ...{ notBefore, notAfter, fingerprint },
  };
}

export function slotJson(slot: SlotDescription) {
  const { state } = slot;
  if (state.kind !== 'token') return slot;
  const certificates = state.token.certificates.map(({ label, id, certificate }) => ({
    ...{ label, id },
    certificate: certificateJson(readable(certificate)),
  }));
  return { ...slot, state: { ...state, token: { ...state.token, certificates } } };
}
