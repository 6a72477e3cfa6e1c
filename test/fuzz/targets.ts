import type { FuzzTarget } from './target.ts';
import { asn1Targets } from './targets/asn1.ts';
import { cmsTargets } from './targets/cms.ts';
import { connectionsTargets } from './targets/connections.ts';
import { directoryTargets } from './targets/directory.ts';
import { dnsTargets } from './targets/dns.ts';
import { holdingTargets } from './targets/holding.ts';
import { hsmTargets } from './targets/hsm.ts';
import { httpTargets } from './targets/http.ts';
import { httpStoreTargets } from './targets/http-store.ts';
import { imapTargets } from './targets/imap.ts';
import { imapAppendTargets } from './targets/imap-append.ts';
import { imapEpochTargets } from './targets/imap-epoch.ts';
import { imapInflateTargets } from './targets/imap-inflate.ts';
import { imapOutTargets } from './targets/imap-out.ts';
import { imapPlainTargets } from './targets/imap-plain.ts';
import { keyStoreTargets } from './targets/key-store.ts';
import { ldapTargets } from './targets/ldap.ts';
import { mailTargets } from './targets/mail.ts';
import { mailViewTargets } from './targets/mail-view.ts';
import { pkiTargets } from './targets/pki.ts';
import { policyTargets } from './targets/policy.ts';
import { pop3Targets } from './targets/pop3.ts';
import { publishingTargets } from './targets/publishing.ts';
import { queueTargets } from './targets/queue.ts';
import { relayTargets } from './targets/relay.ts';
import { routingTargets } from './targets/routing.ts';
import { searchTargets } from './targets/search.ts';
import { smimeTargets } from './targets/smime.ts';
import { smtpTargets } from './targets/smtp.ts';
import { smtpOutTargets } from './targets/smtp-out.ts';
import { streamTargets } from './targets/streams.ts';

/** Every parser that reads what a stranger wrote. */
export const targets: readonly FuzzTarget[] = [
  ...asn1Targets,
  ...cmsTargets,
  ...pkiTargets,
  ...directoryTargets,
  ...dnsTargets,
  ...routingTargets,
  ...relayTargets,
  ...queueTargets,
  ...httpStoreTargets,
  ...ldapTargets,
  ...httpTargets,
  ...holdingTargets,
  ...publishingTargets,
  ...hsmTargets,
  ...keyStoreTargets,
  ...smimeTargets,
  ...mailTargets,
  ...connectionsTargets,
  ...smtpTargets,
  ...smtpOutTargets,
  ...imapTargets,
  ...imapAppendTargets,
  ...imapPlainTargets,
  ...imapInflateTargets,
  ...imapEpochTargets,
  ...imapOutTargets,
  ...pop3Targets,
  ...searchTargets,
  ...mailViewTargets,
  ...policyTargets,
  ...streamTargets,
];
