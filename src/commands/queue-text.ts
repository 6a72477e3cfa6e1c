import { printable } from '../log/printable.ts';
import type { Delivery } from '../queue/delivery-rows.ts';
import type { Parameter } from '../smtp/envelope.ts';
import { writeParameters } from '../smtp/parameters.ts';
import { writePath } from '../smtp/path.ts';
import { summary } from '../smtp/reply.ts';

/** Deliveries for people and for programs. What is in a mail is in neither. */

/** @param how `everything`: also what only matters where one delivery is looked at */
export function deliveryPage(delivery: Delivery, now: Date, how: 'usual' | 'everything' = 'usual'): string {
  const { id, mail, purpose, way, reversePath, octets, attempts, enqueuedAt, recipients, taken } = delivery;
  const place = way.kind === 'append' ? `, for the archive ${printable(way.archive)}` : '';
  const tried = attempts === 0 ? 'not tried yet' : `tried ${attempts === 1 ? 'once' : `${attempts} times`}`;
  return [
    `${id}  ${purpose}${place}, ${octets} octets, of mail ${printable(mail)}`,
    `  from ${printable(writePath(reversePath))}, since ${enqueuedAt.toISOString()}, ${tried}`,
    `  ${standing(delivery, now)}`,
    ...(way.kind === 'smtp' ? [`  destination ${printable(delivery.destination)}`] : []),
    ...(how === 'everything' ? details(delivery) : []),
    ...recipients.flatMap(({ recipient, because, reply }) => {
      const why = because === null ? '' : `: ${printable(because)}`;
      const more = how === 'everything' ? [...said(recipient.parameters), ...answered(reply)] : [];
      return [`    ${printable(writePath(recipient.mailbox))}${why}`, ...more.map((line) => `      ${line}`)];
    }),
    ...taken.map(
      ({ recipient }) =>
        `    ${printable(writePath(recipient.mailbox))}: has it, of which the sender is still to be told`,
    ),
    '',
  ].join('\n');
}

function standing({ heldAt, lease, nextAt, expiresAt }: Delivery, now: Date): string {
  if (heldAt !== null) return `held since ${heldAt.toISOString()}: “sealgate queue release” lets it go on`;
  const until = `given up after ${expiresAt.toISOString()}`;
  if (lease !== null && lease.until > now) return `being delivered, ${until}`;
  if (nextAt <= now) {
    return `due since ${nextAt.toISOString()}: waits for its turn, or its destination was found away (queue.paused in the log), or no gateway runs; ${until}`;
  }
  return `next attempt ${nextAt.toISOString()}, ${until}`;
}

function details({ requireTls, mailParameters, lastAt, delayTold, spool }: Delivery): string[] {
  return [
    `  TLS ${TLS[requireTls]}, sealed in ${spool}`,
    ...(lastAt === null ? [] : [`  last attempt ${lastAt.toISOString()}`]),
    ...(delayTold ? ['  it was looked at whether its sender wants to hear that it takes long'] : []),
    ...said(mailParameters).map((line) => `  ${line}`),
  ];
}

const TLS = { no: 'not demanded', upstream: 'demanded', onward: 'demanded for the whole way' } as const;

function said(parameters: readonly Parameter[]): string[] {
  return parameters.length === 0 ? [] : [`with${printable(writeParameters(parameters))}`];
}

function answered(reply: Delivery['recipients'][number]['reply']): string[] {
  return reply === null ? [] : [`the server: ${printable(summary(reply))}`];
}

export function deliveryAsJson(delivery: Delivery) {
  const { id, mail, purpose, way, destination, reversePath, octets, attempts, recipients, taken } = delivery;
  const { enqueuedAt, nextAt, lastAt, expiresAt, heldAt, lease, requireTls, mailParameters } = delivery;
  return {
    ...{ id, mail, purpose, way, destination, from: writePath(reversePath), octets, attempts },
    ...{ enqueuedAt, lastAt, nextAt, expiresAt, heldAt, underWayUntil: lease?.until ?? null },
    ...{ requireTls, parameters: mailParameters },
    recipients: recipients.map(({ recipient, because, reply }) => ({
      address: writePath(recipient.mailbox),
      parameters: recipient.parameters,
      ...{ because, reply },
    })),
    toldLater: taken.map(({ recipient, reply }) => ({ address: writePath(recipient.mailbox), reply })),
  };
}
