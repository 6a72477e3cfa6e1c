import type { SigningKey } from '../cms/keys.ts';
import { signDetached, signingDigests } from '../cms/sign.ts';
import { signOpaqueStream } from '../cms/sign-stream.ts';
import { RunningDigests } from '../cms/stream-digests.ts';
import { Base64Encoder, base64Length } from '../mail/base64.ts';
import { joinMessage } from '../mail/compose.ts';
import { splitSafely } from '../mail/compose-source.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { joinedSource } from '../octets/joined-source.ts';
import { OctetSearch } from '../octets/octet-search.ts';
import { scan } from '../octets/scan.ts';
import type { OctetSource } from '../octets/source.ts';
import { transformedSource } from '../octets/transformed-source.ts';
import { newBoundary } from './boundary.ts';
import { multipartSigned } from './multipart-signed.ts';
import { pkcs7Header } from './pkcs7-part.ts';
import { type SignOptions, signRequest } from './sign.ts';

/**
 * `signMessage` for a message of any size; the same octets as it makes.
 *
 * The message is read and the key has signed before this resolves, so a failure of either comes before the first octet.
 *
 * @returns the signed message, made anew from `message` while it is read, as often as it is read; so `message` has to last
 * @throws as `signMessage`; the source's own
 */
export async function signMessageStream(
  message: OctetSource,
  signer: SigningKey,
  options: SignOptions,
): Promise<OctetSource> {
  const { outer, content } = await splitSafely(message, options.headerProtection ?? null);
  const request = signRequest(signer, options);
  switch (options.form) {
    case 'opaque': {
      const cms = await signOpaqueStream({ ...request, content });
      const head = joinMessage(outer, pkcs7Header('signed-data'));
      const body = transformedSource(cms, base64Length(cms.length), () => new Base64Encoder());
      return joinedSource([bufferSource(head), body]);
    }
    case 'clear': {
      const boundary = options.boundary ?? newBoundary();
      const names = signingDigests(request);
      const digests = new RunningDigests(names);
      const search = new OctetSearch(Buffer.from(`--${boundary}`, 'latin1'), () => {
        throw new Error('the boundary occurs in what it is to bound');
      });
      await scan(content, (octets) => {
        digests.update(octets);
        search.update(octets);
        return undefined;
      });
      const cms = await signDetached({ ...request, content: { digest: digests.finish() } });
      const { header, before, after } = multipartSigned(boundary, names, cms);
      const head = joinMessage(outer, header, before);
      return joinedSource([bufferSource(head), content, bufferSource(after)]);
    }
  }
}
