import type { DecompressOutcome } from '../cms/compressed-data.ts';
import type { Decryption } from '../cms/decryption.ts';
import type { DecryptionKey } from '../cms/keys.ts';
import type { SignedData } from '../cms/signed-data.ts';
import type { Entity, HeaderField } from '../mail/entity.ts';
import type { OpenedHeader } from './protected-header.ts';
import type { Layer } from './report.ts';
import type { VerifiableContent } from './verify.ts';

/**
 * What the rules ask of whoever has the octets. Everything may throw SealgateError `mail.*`, `asn1.malformed` and
 * `cms.malformed` for what a message contains, but for what says that it does not.
 */
export interface LayerOctets<Content, Cms> {
  /** The root entity; null: not readable as mail (bounds). Throws nothing of the message. */
  root(content: Content): Promise<Entity | null>;
  /** null: not what RFC 8551 describes, or open to more than one reading. */
  clearSigned(content: Content, root: Entity): Promise<ClearSignedLayer<Content> | null>;
  /** The CMS object in the body. */
  cms(content: Content, root: Entity): Cms;
  contentType(cms: Cms): Promise<string>;
  decrypt(cms: Cms, keys: readonly DecryptionKey[]): Promise<Decryption<Content>>;
  decompress(cms: Cms, maxOctets: number): Promise<DecompressOutcome<Content>>;
  opaqueSigned(cms: Cms): Promise<OpaqueSignedLayer<Content>>;
  /**
   * Throws for damage to the transfer encoding anywhere in the body, which counts before anything that is told from less than
   * all of its octets.
   */
  requireDecodable(cms: Cms): Promise<void>;
  /** The protected header of the innermost content; null: none. Throws nothing of the message. */
  header(payload: Payload<Content>, layers: readonly Layer[]): Promise<OpenedHeader | null>;
  /** What is left to show once that header is shown as one. */
  toShow(header: OpenedHeader['header'], payload: Content, shown: Content): Promise<Content>;
  /** `content` is shown from now on; the contents of layers around it are needed no more. */
  shows(content: Content): Promise<void>;
}

export type ClearSignedLayer<Content> = {
  signedData: Omit<SignedData, 'content'>;
  /** Whether the signature brings a content of its own. */
  attached: boolean;
  content: Content;
  /** What may have been signed: the octets as they are and, where a store has turned line ends, their canonical form. */
  forms(): Promise<readonly (Buffer | VerifiableContent)[]>;
};

export type OpaqueSignedLayer<Content> = {
  signedData: Omit<SignedData, 'content'>;
  /** null: detached. */
  content: { octets: Content; length: number; verifiable: Buffer | VerifiableContent } | null;
};

/** Content that has no further layer. */
export type Payload<Content> = {
  content: Content;
  root: Entity;
  /** Fields of the outermost header. */
  outer: readonly HeaderField[];
  /** Whether it is shown in the place of the original. */
  replaces: boolean;
};
