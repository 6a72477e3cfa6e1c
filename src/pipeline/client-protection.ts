import type { OutboundFacts } from '../policy/facts.ts';
import { isPlausibleCms, type PlausibleCms } from '../smime/plausible-cms.ts';
import { isPlausibleCmsStream } from '../smime/plausible-cms-stream.ts';
import { recognise, type SmimeKind } from '../smime/recognise.ts';
import type { OutgoingMessage } from './outgoing-message.ts';
import { MailRefused } from './refusal.ts';

/**
 * What the client has done itself, by the root entity. A root that only claims to be S/MIME is refused: it would let plain
 * text pass under the name of protection, whatever the rules say.
 *
 * @throws MailRefused `smime.pretended`; the source's own
 */
export async function clientProtection(message: OutgoingMessage): Promise<OutboundFacts['protection']> {
  const kind = recognise(message);
  switch (kind) {
    case 'none':
    // RFC 8551 §3.7, §3.6: certificates and compression protect nothing.
    case 'certs-only':
    case 'compressed':
      return 'none';
    case 'enveloped':
    case 'auth-enveloped':
    case 'signed-opaque':
    case 'signed-clear': {
      const found = await plausibleCms(message, kind);
      if (found === 'encrypted' || found === 'signed') return found;
      throw new MailRefused({
        code: 'smime.pretended',
        duration: 'permanent',
        enhancedCode: '5.6.0',
        publicText:
          'The message says it is already signed or encrypted (S/MIME), but its content is not; it was not sent. Please write it anew.',
      });
    }
  }
}

async function plausibleCms(message: OutgoingMessage, kind: SmimeKind): Promise<PlausibleCms> {
  if (message.kind === 'in-memory') return isPlausibleCms(message, kind);
  return isPlausibleCmsStream(message.octets, message.root, kind);
}
