import { renameSync } from 'node:fs';
import type { DecryptionKey, SigningKey } from '../../../src/cms/keys.ts';
import { type MessageOpening, openMessage } from '../../../src/smime/open.ts';
import type { Layer, SignatureReport } from '../../../src/smime/report.ts';
import { type Identity, IdentityFolder, type KeyKind } from '../../cms/support/identities.ts';
import { decryptionKey, signingKey } from '../../cms/support/software-keys.ts';

/** Correspondents at example.org under one authority, for one test file. `folder` is shared with openssl. */
export class People {
  readonly folder = new IdentityFolder();
  readonly #issued = new Map<string, Identity>();

  /** The person's identity; made on first use. */
  identity(name: string, kind: KeyKind = 'rsa'): Identity {
    const known = this.#issued.get(`${name} ${kind}`);
    if (known !== undefined) return known;
    const issued = this.folder.issue(name, kind);
    // One address may have keys of several kinds; the folder names files by the address alone.
    const keyFile = this.folder.path(`${name}-${kind}.key.pem`);
    const certificateFile = this.folder.path(`${name}-${kind}.cert.pem`);
    renameSync(issued.keyFile, keyFile);
    renameSync(issued.certificateFile, certificateFile);
    const identity = { ...issued, keyFile, certificateFile };
    this.#issued.set(`${name} ${kind}`, identity);
    return identity;
  }

  signer(name: string, kind: KeyKind = 'rsa'): SigningKey {
    const { privateKey, certificate } = this.identity(name, kind);
    return signingKey(privateKey, certificate, [
      kind === 'rsa'
        ? { kind: 'rsa-pkcs1', digest: 'sha256' }
        : kind === 'ed25519'
          ? { kind: 'eddsa', curve: 'Ed25519' }
          : { kind: 'ecdsa', digest: 'sha256' },
    ]);
  }

  key(name: string, kind: KeyKind = 'rsa'): DecryptionKey {
    const { privateKey, certificate } = this.identity(name, kind);
    return decryptionKey(privateKey, certificate);
  }

  /** Opens with the authority as anchor, now. */
  open(octets: Uint8Array, keys: readonly DecryptionKey[] = [], at = new Date()): Promise<MessageOpening> {
    const { certificate } = this.folder.authority;
    return openMessage(octets, keys, { at, anchors: [certificate], pool: [] });
  }

  openssl(...args: readonly string[]): Buffer {
    return this.folder.openssl(...args);
  }

  remove(): void {
    this.folder.remove();
  }
}

export function crlf(text: string): Buffer {
  return Buffer.from(text.replace(/\r?\n/g, '\r\n'));
}

export function signaturesOf(opening: MessageOpening): SignatureReport[] {
  return opening.report.layers.flatMap((layer) => (layer.kind === 'signed' ? layer.signatures : []));
}

/** Whether the mail may be shown as signed by the one it says it is from. */
export function isVouchedFor(opening: MessageOpening): boolean {
  return signaturesOf(opening).some(
    ({ signature, speaksFor, path }) =>
      signature === 'good' && speaksFor === 'from' && path?.outcome === 'valid',
  );
}

export function kinds(opening: MessageOpening): Layer['kind'][] {
  return opening.report.layers.map(({ kind }) => kind);
}
