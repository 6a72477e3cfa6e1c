import { readThrough } from '../asn1/read-stream.ts';
import { readEnvelopedStream } from '../cms/decrypt-stream.ts';
import { certificateRecipients } from '../cms/enveloped-data.ts';
import { isUnreadable } from '../cms/malformed.ts';
import { signedDataGrammar } from '../cms/signed-data.ts';
import type { Entity } from '../mail/entity.ts';
import { decodedBody } from '../mail/transfer-encoding.ts';
import { sliceOf } from '../octets/buffer-source.ts';
import type { OctetSource, RereadableOctets } from '../octets/source.ts';
import { isMailError } from './mail-error.ts';
import { type PlausibleCms, signatureAlone } from './plausible-cms.ts';
import type { SmimeKind } from './recognise.ts';

/**
 * `isPlausibleCms` for a message of any size, which is read once or twice.
 *
 * @throws the source's own
 */
export async function isPlausibleCmsStream(
  octets: OctetSource,
  root: Entity,
  kind: SmimeKind,
): Promise<PlausibleCms> {
  if (kind === 'signed-clear') {
    const signature = signatureAlone(root);
    return signature !== null && (await hasSigner(octets, signature)) ? 'signed' : 'neither';
  }
  if (await hasRecipient(octets, root)) return 'encrypted';
  return (await hasSigner(octets, root)) ? 'signed' : 'neither';
}

function hasRecipient(octets: OctetSource, entity: Entity): Promise<boolean> {
  return readable(async () => {
    const { enveloped } = await readEnvelopedStream(bodyOf(octets, entity));
    return certificateRecipients(enveloped).length > 0;
  });
}

function hasSigner(octets: OctetSource, entity: Entity): Promise<boolean> {
  return readable(async () => {
    const { data } = await readThrough(bodyOf(octets, entity).read(), signedDataGrammar, () => undefined);
    return data.signerInfos.length > 0;
  });
}

function bodyOf(octets: OctetSource, { body, transferEncoding }: Entity): RereadableOctets {
  return decodedBody(sliceOf(octets, body.start, body.end), transferEncoding);
}

async function readable(question: () => Promise<boolean>): Promise<boolean> {
  try {
    return await question();
  } catch (error) {
    // Unreadable is the answer, not a failure; a spool that fails is one.
    if (isUnreadable(error) || isMailError(error)) return false;
    throw error;
  }
}
