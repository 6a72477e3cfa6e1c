import { randomBytes } from 'node:crypto';
import { Secret } from '../log/secret.ts';
import type { Credentials } from '../sasl/credentials.ts';
import { upstreamMechanism } from '../sasl/mechanism.ts';
import { type Reply, summary } from '../smtp/reply.ts';
import type { TokenSource } from './access-token.ts';
import { type AuthOutcome, authenticate } from './auth.ts';
import type { Upstream } from './client.ts';
import { ScramClient } from './scram.ts';

/** How the gateway itself logs in to a mail server. */
export type GatewayLogin =
  /** By SCRAM-SHA-256 where the server has it, else PLAIN or LOGIN. The password is one character an octet, as credentials carry it. */
  | { kind: 'password'; name: string; password: Secret }
  /** By OAUTHBEARER (RFC 7628) or XOAUTH2, with a token that the gateway gets for itself. */
  | { kind: 'oauth2'; name: string; tokens: TokenSource }
  /** By the certificate that TLS has shown: EXTERNAL (RFC 4422 Appendix A) where the server has it. null: as whom the certificate says. */
  | { kind: 'certificate'; name: string | null };

/** null: the server has accepted the login. Else why not, for people. */
export async function logInTo(upstream: Upstream, login: GatewayLogin): Promise<string | null> {
  const offered = (upstream.extensions.get('AUTH') ?? []).map((name) => name.toUpperCase());
  switch (login.kind) {
    case 'password':
      return offered.includes('SCRAM-SHA-256')
        ? await byScram(upstream, login)
        : await byPassword(upstream, login, offered);
    case 'oauth2':
      return await byToken(upstream, login, offered);
    case 'certificate':
      // A server may go by the certificate alone; whoever does not says so at MAIL.
      return offered.includes('EXTERNAL') ? await byCertificate(upstream, login.name) : null;
  }
}

async function byPassword(
  upstream: Upstream,
  { name, password }: Extract<GatewayLogin, { kind: 'password' }>,
  offered: readonly string[],
): Promise<string | null> {
  const credentials: Credentials = { kind: 'password', mechanism: 'PLAIN', login: name, secret: password };
  if (upstreamMechanism('PLAIN', offered) === null) return 'the mail server offers no login by password';
  const text = Buffer.from(password.reveal(), 'latin1').toString('utf8');
  return whyNot(await authenticate(upstream, credentials), text, `\0${name}\0${text}`);
}

/** RFC 5802 §5, in the frame of RFC 4954 §4. */
async function byScram(
  upstream: Upstream,
  { name, password }: Extract<GatewayLogin, { kind: 'password' }>,
): Promise<string | null> {
  const text = Buffer.from(password.reveal(), 'latin1').toString('utf8');
  const scram = new ScramClient(name, text, randomBytes(24).toString('base64'));
  const first = await upstream.command(`AUTH SCRAM-SHA-256 ${coded(scram.first)}`);
  if (first.kind === 'lost') return lost(first.reason);
  if (first.reply.code !== 334) return refused(first.reply);
  const final = await scram.final(decoded(first.reply.lines));
  if (final === null)
    return await brokenOff(upstream, 'the mail server asked for another SCRAM than there is');
  const second = await upstream.command(coded(final));
  if (second.kind === 'lost') return lost(second.reason);
  // RFC 4954 §4: what the server says last comes with 235 or in a challenge of its own.
  if (second.reply.code !== 334 && second.reply.code !== 235) return refused(second.reply);
  if (!scram.isProof(decoded(second.reply.lines))) {
    upstream.abandon();
    return 'the mail server did not prove that it knows the password';
  }
  if (second.reply.code === 235) return null;
  const last = await upstream.command('');
  if (last.kind === 'lost') return lost(last.reason);
  return last.reply.code === 235 ? null : refused(last.reply);
}

async function byToken(
  upstream: Upstream,
  { name, tokens }: Extract<GatewayLogin, { kind: 'oauth2' }>,
  offered: readonly string[],
): Promise<string | null> {
  const mechanism = (['OAUTHBEARER', 'XOAUTH2'] as const).find((one) => offered.includes(one));
  if (mechanism === undefined) return 'the mail server offers no login by token (OAUTHBEARER, XOAUTH2)';
  for (;;) {
    const got = await tokens.token();
    if (got.kind === 'failed') return `there is no token for the mail server: ${got.because}`;
    const message =
      mechanism === 'XOAUTH2'
        ? `user=${name}\x01auth=Bearer ${got.token.reveal()}\x01\x01`
        : `n,a=${name.replaceAll('=', '=3D').replaceAll(',', '=2C')},\x01auth=Bearer ${got.token.reveal()}\x01\x01`;
    const secret = new Secret(Buffer.from(message, 'utf8').toString('latin1'));
    const said = await authenticate(upstream, { kind: 'token', mechanism, login: name, secret });
    // RFC 7628 §3.2.3: the reason is acknowledged before the verdict comes.
    const outcome =
      said.kind === 'challenge' ? await said.answer(mechanism === 'XOAUTH2' ? '' : 'AQ==') : said;
    if (outcome.kind === 'accepted' || outcome.kind === 'lost') return whyNot(outcome);
    tokens.refused(got.token);
    // One that was kept may have been withdrawn; a new one that is refused as well says more.
    if (got.isFresh) return whyNot(outcome, got.token.reveal(), message);
  }
}

async function byCertificate(upstream: Upstream, name: string | null): Promise<string | null> {
  // RFC 4954 §4: `=` is an initial response of no octets.
  const answer = await upstream.command(`AUTH EXTERNAL ${name === null ? '=' : coded(name)}`);
  if (answer.kind === 'lost') return lost(answer.reason);
  if (answer.reply.code === 334)
    return await brokenOff(upstream, 'the mail server wants more than a certificate');
  return answer.reply.code === 235 ? null : refused(answer.reply);
}

function whyNot(outcome: AuthOutcome, ...secrets: string[]): string | null {
  switch (outcome.kind) {
    case 'accepted':
      return null;
    case 'lost':
      return lost(outcome.reason);
    case 'rejected':
    case 'challenge':
      return refused(outcome.reply, ...secrets);
  }
}

/** RFC 4954 §4: `*` ends the exchange. */
async function brokenOff(upstream: Upstream, because: string): Promise<string> {
  await upstream.command('*');
  return because;
}

function coded(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

/** Of a 235 the last word: RFC 4954 leaves room for a text, and servers put their code before it. */
function decoded(lines: readonly string[]): string {
  const words = (lines[0] ?? '').trim().split(' ');
  return Buffer.from(words.at(-1) ?? '', 'base64').toString('utf8');
}

function lost(reason: string): string {
  return `the mail server was lost: ${reason}`;
}

/** Some servers cite the command that they do not like. */
function refused(reply: Reply, ...secrets: string[]): string {
  const text = reply.lines.join('\n');
  const isCited = secrets.some((secret) => text.includes(secret) || text.includes(coded(secret)));
  const said = isCited ? `${reply.code} (its words have the secret in them)` : summary(reply);
  return `the mail server refused the gateway's login: ${said}`;
}
