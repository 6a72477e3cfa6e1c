import type { MessageView } from '../../mail-view/message-view.ts';
import { bufferSource } from '../../octets/buffer-source.ts';
import type { StoredMessage } from '../../reading/stored-message.ts';
import { ArrivingMessage } from '../arriving-message.ts';
import { writeCommand } from '../command-line.ts';
import { firstLines } from '../first-lines.ts';
import { askName, nameByHeader } from '../message-name.ts';
import { openMessage } from '../open-message.ts';
import type { StatusLine } from '../reply-scanner.ts';
import { relayMessage, sendOctets } from '../send-message.ts';
import { hasConstantShell, shellHeader } from '../shell-header.ts';
import type { Exchange, TransactionContext } from '../transaction-context.ts';

/**
 * TOP (RFC 1939 §7). The header of a message in the shell needs no key. Lines of its body are those of its view: from one that was
 * opened a moment ago, else the message is fetched once for it. The server is asked in any case: it knows whether the message
 * is still there.
 */
export function top(context: TransactionContext, message: number, lines: number): Exchange {
  const { maildrop, upstream, views } = context;
  const before = maildrop.kind(message);
  const name = askName(context, message);
  const mayOpen = context.topBody === 'render' && (lines > 0 || !hasConstantShell(views));
  const holds = mayOpen && before !== 'identity';
  // An earlier command may find that the message is shown as stored: then its lines are needed, and only `holds` may ask again.
  const asked = before === 'shell' && holds ? 0 : lines;
  const question = upstream.ask(writeCommand({ verb: 'TOP', message, lines: asked }), 'lines');
  return {
    delivers: null,
    holds,
    answer: async () => {
      const named = await name();
      const status = await question.status();
      if (status.kind !== 'ok') return context.pass(status);
      const arriving = await ArrivingMessage.begin(question);
      const kind = maildrop.kind(message) ?? views.kindOf(arriving.messageClass, named ?? undefined);
      maildrop.learnKind(message, kind);
      if (kind === 'identity' && asked === lines) return relayMessage(context, status, arriving);
      await arriving.drain();
      if (kind === 'identity') return topAgain(context, message, lines);
      const view = named === null ? null : await cachedView(context, named);
      if (view !== null) {
        const letGo = view.hold();
        try {
          return await sendOctets(context, status, firstLines(view.octets.read(), lines), {
            asStored: false,
          });
        } finally {
          letGo();
        }
      }
      if (mayOpen) return openForTop(context, message, lines, status);
      const header = await shellHeader(arriving.header, named ?? nameByHeader(arriving.header), views);
      await sendOctets(context, status, bufferSource(header).read(), { asStored: false });
    },
  };
}

/** Nothing else is on its way to the server. */
async function topAgain(context: TransactionContext, message: number, lines: number): Promise<void> {
  const question = context.upstream.ask(writeCommand({ verb: 'TOP', message, lines }), 'lines');
  const status = await question.status();
  if (status.kind !== 'ok') return context.pass(status);
  await relayMessage(context, status, await ArrivingMessage.begin(question));
}

async function cachedView({ views }: TransactionContext, name: StoredMessage): Promise<MessageView | null> {
  await views.recall(name);
  return views.shows(name) === 'opened' ? views.cached(name) : null;
}

/** Nothing else is on its way to the server. */
async function openForTop(
  context: TransactionContext,
  message: number,
  lines: number,
  status: StatusLine,
): Promise<void> {
  const question = context.upstream.ask(writeCommand({ verb: 'RETR', message }), 'lines');
  const answer = await question.status();
  if (answer.kind !== 'ok') return context.pass(answer);
  const arriving = await ArrivingMessage.begin(question);
  const opened = await openMessage(context, message, context.maildrop.name(message), arriving);
  if (opened.kind === 'withheld') return context.refuse(opened.reason);
  try {
    const shown = firstLines(opened.octets.read(), lines);
    if (opened.kind === 'too-large') await arriving.drain();
    await sendOctets(context, status, shown, { asStored: opened.kind !== 'view' });
  } finally {
    await opened.release();
  }
}
