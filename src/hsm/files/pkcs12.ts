import { type Element, implicitly, universal } from '../../asn1/element.ts';
import { children, readWhole } from '../../asn1/reader.ts';
import { type SequenceReader, sequenceOf } from '../../asn1/sequence-reader.ts';
import { characterString } from '../../asn1/strings.ts';
import { objectIdentifier, octetString, smallInteger } from '../../asn1/values.ts';
import { malformedKeyFile, unsupportedKeyFile } from './key-file-error.ts';
import { decryptPbe, PasswordReader } from './pbe.ts';
import { readEncryptedPrivateKeyInfo } from './pkcs8.ts';
import { checkMac } from './pkcs12-mac.ts';

/**
 * Reads PKCS#12 files (RFC 7292). They are BER: Windows and Java write indefinite lengths.
 *
 * Holds: nothing inside is looked at before the MAC over it has been checked, and a file without one is refused.
 */

/** What a file holds, as octets; what belongs together is found out by whoever uses it. */
export type Pkcs12Contents = {
  /** PrivateKeyInfo (RFC 5208 §5), DER or BER, with friendlyName. The octets are the caller's to clear. */
  privateKeys: { privateKeyInfo: Buffer; friendlyName: string | null }[];
  /** Certificates, DER. */
  certificates: { der: Buffer; friendlyName: string | null }[];
};

const DATA = '1.2.840.113549.1.7.1';
const ENCRYPTED_DATA = '1.2.840.113549.1.7.6';
/** Far more than any keystore of mail has. */
const MOST_BAGS = 1_000;
/** safeContentsBag inside safeContentsBag. */
const DEEPEST_BAG = 4;

/**
 * @throws SealgateError `key.passphrase-incorrect`, `key.file-malformed`, `key.file-unsupported`, `asn1.malformed`
 */
export async function readPkcs12(octets: Buffer, password: string): Promise<Pkcs12Contents> {
  using reader = new PasswordReader(password);
  // PFX ::= SEQUENCE { version INTEGER {v3(3)}, authSafe ContentInfo, macData MacData OPTIONAL } (RFC 7292 §4).
  const pfx = sequenceOf(readWhole(octets, 'BER'), 'BER', 'PFX');
  if (smallInteger(pfx.next('version')) !== 3) throw unsupportedKeyFile('an old version of PKCS#12');
  const authSafe = readData(pfx.sequence('authSafe'));
  if (pfx.atEnd) throw unsupportedKeyFile('no protection against changes (no MAC)');
  await checkMac(pfx.sequence('macData'), authSafe, reader);
  pfx.end();
  return await readAuthenticatedSafe(authSafe, reader);
}

/** ContentInfo of type Data; SignedData (public-key integrity mode) is not in use anywhere. */
function readData(contentInfo: SequenceReader): Buffer {
  const type = objectIdentifier(contentInfo.next('contentType'));
  if (type !== DATA) throw unsupportedKeyFile('integrity by signature instead of by password');
  const content = contentInfo.optionalExplicit(0);
  contentInfo.end();
  if (content === null) throw malformedKeyFile('Data without content');
  return octetString(content, 'BER');
}

/** AuthenticatedSafe ::= SEQUENCE OF ContentInfo (RFC 7292 §4.1). Exported for tests that damage it behind the MAC. */
export async function readAuthenticatedSafe(
  octets: Buffer,
  password: PasswordReader,
): Promise<Pkcs12Contents> {
  const bags = new BagReader(password);
  for (const element of children(readWhole(octets, 'BER'), 'BER')) {
    const contentInfo = sequenceOf(element, 'BER', 'ContentInfo');
    const type = objectIdentifier(contentInfo.next('contentType'));
    const content = contentInfo.optionalExplicit(0);
    contentInfo.end();
    if (content === null) throw malformedKeyFile('a ContentInfo without content');
    if (type === DATA) await bags.readSafeContents(octetString(content, 'BER'), 0);
    else if (type === ENCRYPTED_DATA) {
      const plain = await decryptContents(content, password);
      await bags.readSafeContents(plain, 0);
      // What was found in it are copies; keys may have stood in it by themselves.
      plain.fill(0);
    } else throw unsupportedKeyFile('encryption to a certificate instead of a password');
  }
  return bags.contents;
}

/** EncryptedData (RFC 5652 §8). */
async function decryptContents(element: Element, password: PasswordReader): Promise<Buffer> {
  const encryptedData = sequenceOf(element, 'BER', 'EncryptedData');
  encryptedData.universal(universal.integer, 'version');
  const info = encryptedData.sequence('encryptedContentInfo');
  if (objectIdentifier(info.next('contentType')) !== DATA)
    throw malformedKeyFile('encrypted content that is not Data');
  const algorithm = info.universal(universal.sequence, 'contentEncryptionAlgorithm');
  const content = info.optionalContext(0);
  info.end();
  if (content === null) throw malformedKeyFile('EncryptedData without content');
  const encrypted = octetString(implicitly(content, universal.octetString), 'BER');
  return await decryptPbe(algorithm, encrypted, password);
}

const BAG = '1.2.840.113549.1.12.10.1.';
const X509_CERTIFICATE = '1.2.840.113549.1.9.22.1';
const FRIENDLY_NAME = '1.2.840.113549.1.9.20';

class BagReader {
  readonly contents: Pkcs12Contents = { privateKeys: [], certificates: [] };
  readonly #password: PasswordReader;
  #bags = 0;

  constructor(password: PasswordReader) {
    this.#password = password;
  }

  async readSafeContents(octets: Buffer, depth: number): Promise<void> {
    await this.#readBags(readWhole(octets, 'BER'), depth);
  }

  /** SafeContents ::= SEQUENCE OF SafeBag (RFC 7292 §4.2). */
  async #readBags(safeContents: Element, depth: number): Promise<void> {
    if (depth > DEEPEST_BAG) throw malformedKeyFile('bags nested too deep');
    for (const element of children(safeContents, 'BER')) {
      if (++this.#bags > MOST_BAGS) throw malformedKeyFile('too many bags');
      await this.#readBag(sequenceOf(element, 'BER', 'SafeBag'), depth);
    }
  }

  /** SafeBag ::= SEQUENCE { bagId OBJECT IDENTIFIER, bagValue [0] EXPLICIT ANY, bagAttributes SET OF OPTIONAL }. */
  async #readBag(bag: SequenceReader, depth: number): Promise<void> {
    const id = objectIdentifier(bag.next('bagId'));
    const value = bag.optionalExplicit(0);
    const attributes = bag.optionalUniversal(universal.set);
    bag.end();
    if (value === null) throw malformedKeyFile('a bag without value');
    const friendlyName = attributes === null ? null : readFriendlyName(attributes);
    switch (id) {
      case `${BAG}1`: // keyBag (§4.2.1)
        this.contents.privateKeys.push({ privateKeyInfo: Buffer.from(value.raw), friendlyName });
        return;
      case `${BAG}2`: // pkcs8ShroudedKeyBag (§4.2.2)
        this.contents.privateKeys.push({
          privateKeyInfo: await readEncryptedPrivateKeyInfo(value, this.#password),
          friendlyName,
        });
        return;
      case `${BAG}3`: // certBag (§4.2.3)
        this.#readCertificate(sequenceOf(value, 'BER', 'CertBag'), friendlyName);
        return;
      case `${BAG}6`: // safeContentsBag (§4.2.6)
        await this.#readBags(value, depth + 1);
        return;
      default:
        // crlBag, secretBag and what others may add hold nothing that is needed here.
        return;
    }
  }

  #readCertificate(bag: SequenceReader, friendlyName: string | null): void {
    const type = objectIdentifier(bag.next('certId'));
    const value = bag.optionalExplicit(0);
    bag.end();
    if (type !== X509_CERTIFICATE || value === null) return;
    this.contents.certificates.push({ der: Buffer.from(octetString(value, 'BER')), friendlyName });
  }
}

/** Attribute ::= SEQUENCE { attrId OBJECT IDENTIFIER, attrValues SET OF ANY } (RFC 7292 §4.2). */
function readFriendlyName(attributes: Element): string | null {
  for (const element of children(attributes, 'BER')) {
    const attribute = sequenceOf(element, 'BER', 'Attribute');
    if (objectIdentifier(attribute.next('attrId')) !== FRIENDLY_NAME) continue;
    const [value] = children(attribute.universal(universal.set, 'attrValues'), 'BER');
    return value === undefined ? null : characterString(value, 'BER');
  }
  return null;
}
