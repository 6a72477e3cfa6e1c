import { recipientLines } from '../policy/explain.ts';
import { quoted } from '../policy/quoted.ts';
import type { ExplainedCertificate, ExplainedReply, ExplainedSubmission } from './explain-submission.ts';
import { variantLines, waitingLines } from './variant-algorithms.ts';

/** An explanation for a terminal. No line holds control characters. */
export function explainedLines(explained: ExplainedSubmission): string[] {
  const { from, login, listener, recipients, messages, waiting, reply } = explained;
  const told = recipients.flatMap((recipient) => [
    ...recipientLines({ ...recipient, certificates: recipient.certificates.summary }, [
      ...recipient.certificates.known.flatMap(certificateLines),
      `  reply at RCPT TO: ${replyText(recipient.reply)}`,
    ]),
  ]);
  const leaving =
    messages.length === 1 ? 'One message would leave.' : `${messages.length} messages would leave.`;
  return [
    `From ${quoted(from ?? 'nobody clear')} (login ${quoted(login)}, listener ${quoted(listener)})`,
    ...told,
    ...(messages.length === 0 ? [] : [leaving]),
    ...messages.flatMap(variantLines),
    ...waiting.flatMap(waitingLines),
    `Reply at the end of data: ${replyText(reply)}`,
  ];
}

function certificateLines(known: ExplainedCertificate, index: number): string[] {
  const { fingerprint, subject, issuer, notAfter, trust, source, sources, because, doubt } = known;
  return [
    `    ${index + 1}. ${trust} (${quoted(because, 300)}), from ${SOURCES[source]}${sources.length === 0 ? '' : ` (now in ${sources.map((one) => quoted(one)).join(', ')})`}`,
    `       ${quoted(subject)}, issued by ${quoted(issuer)}, until ${notAfter.slice(0, 10)}, ${fingerprint}`,
    ...(doubt === null ? [] : [`       revocation: ${quoted(doubt, 300)}`]),
  ];
}

const SOURCES: Readonly<Record<ExplainedCertificate['source'], string>> = {
  mail: 'signed mail',
  import: 'an imported file',
  file: 'a pinned file',
  ldap: 'an LDAP directory',
  smimea: 'DNS (SMIMEA)',
  'http-store': 'an HTTP certificate store',
};

function replyText(reply: ExplainedReply | null): string {
  return reply === null ? "the mail server's own" : `${reply.code} ${quoted(reply.text, 600)}`;
}
