import { limits } from '../../limits.ts';
import { capabilitiesFor, NOT_TOLD, readCapabilities, type UpstreamCapabilities } from '../capability.ts';
import { writeCommand } from '../command-line.ts';
import type { Exchange, TransactionContext } from '../transaction-context.ts';
import { drain, type Question } from '../upstream-side.ts';

/** CAPA after login (RFC 2449 §5): what the server has now, as far as it is shown. */
export function capa(context: TransactionContext): Exchange {
  const question = context.upstream.ask(writeCommand({ verb: 'CAPA' }), 'lines');
  return {
    delivers: null,
    holds: false,
    answer: async () => {
      const told =
        (await question.status()).kind === 'ok' ? readCapabilities(await linesOf(question)) : NOT_TOLD;
      const lines = capabilitiesFor(withLogin(told, context.capabilities), {
        startTls: false,
        loginAllowed: true,
        relayMechanisms: context.relayMechanisms,
      });
      context.client.write(['+OK', ...lines, '.', ''].join('\r\n'));
    },
  };
}

/** Ways to log in are the same in both states (RFC 2449 §6.2, §6.3), though some servers tell them in one only. */
function withLogin(after: UpstreamCapabilities, before: UpstreamCapabilities): UpstreamCapabilities {
  const logins = [...before.list].filter(([name]) => name === 'USER' || name === 'SASL');
  return { told: after.told, list: new Map([...logins, ...after.list]) };
}

async function linesOf(question: Question): Promise<string[]> {
  const pieces: Buffer[] = [];
  let octets = 0;
  for (let piece = await question.body(); piece !== 'end'; piece = await question.body()) {
    octets += piece.length;
    if (octets > limits.pop3.capabilityOctets) {
      await drain(question);
      return [];
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('latin1').split('\r\n');
}
