/**
 * The text of a Dovecot 2.3 configuration for one throwaway instance: every path, port and account is its own, no
 * chroot and no second account are needed, so the same text serves root and an ordinary user.
 */

export type DovecotSettings = {
  /** Where sockets live; short, because a socket's path must fit 108 octets. */
  runFolder: string;
  stateFolder: string;
  logFile: string;
  passwordFile: string;
  /** The address to listen on. */
  listen: string;
  ports: { imap: number; imaps: number | null; pop3: number; lmtp: number };
  tls: { certFile: string; keyFile: string } | null;
  /** Shown in every greeting; tells this instance from another on the same port. */
  instance: string;
  /** Who runs what: the login processes, the other processes without mail, and the authentication. */
  accounts: { login: string; internal: string; internalGroup: string; auth: string };
  debug: boolean;
  /** Settings in Dovecot's own words, behind all others. */
  further?: string;
};

export function dovecotConfiguration(settings: DovecotSettings): string {
  const { ports, tls, accounts } = settings;
  return `
base_dir = ${settings.runFolder}
state_dir = ${settings.stateFolder}
instance_name = ${settings.instance}
login_greeting = Dovecot ready. ${settings.instance}
log_path = ${settings.logFile}
log_timestamp = "%Y-%m-%d %H:%M:%S "
auth_debug = ${settings.debug ? 'yes' : 'no'}
mail_debug = ${settings.debug ? 'yes' : 'no'}
auth_verbose = yes

listen = ${settings.listen}
protocols = imap pop3 lmtp
default_internal_user = ${accounts.internal}
default_internal_group = ${accounts.internalGroup}
default_login_user = ${accounts.login}
first_valid_uid = 1
first_valid_gid = 1

disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
${
  tls === null
    ? 'ssl = no'
    : `ssl = yes
ssl_cert = <${tls.certFile}
ssl_key = <${tls.keyFile}
ssl_min_protocol = TLSv1.2`
}

passdb {
  driver = passwd-file
  args = username_format=%Lu ${settings.passwordFile}
}
userdb {
  driver = passwd-file
  args = username_format=%Lu ${settings.passwordFile}
}

mail_location = maildir:~/Maildir
recipient_delimiter = +
namespace inbox {
  inbox = yes
  mailbox Drafts {
    auto = create
    special_use = \\Drafts
  }
  mailbox Sent {
    auto = create
    special_use = \\Sent
  }
  mailbox Trash {
    auto = create
    special_use = \\Trash
  }
}
mail_max_userip_connections = 200
lda_mailbox_autocreate = yes
postmaster_address = postmaster@localhost

service imap-login {
  chroot =
  service_count = 0
  inet_listener imap {
    port = ${ports.imap}
  }
  inet_listener imaps {
    port = ${ports.imaps ?? 0}
    ssl = yes
  }
}
service pop3-login {
  chroot =
  service_count = 0
  inet_listener pop3 {
    port = ${ports.pop3}
  }
  inet_listener pop3s {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    address = ${settings.listen}
    port = ${ports.lmtp}
  }
}
service imap {
  process_limit = 400
}
service anvil {
  chroot =
  # Every client of the gateway has the gateway's address: one who mistypes would delay all others.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
service auth {
  user = ${accounts.auth}
}
service auth-worker {
  user = ${accounts.auth}
}
${settings.further ?? ''}`;
}
