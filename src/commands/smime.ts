import { type Command, Option } from 'commander';
import { type ContentEncryptionName, contentEncryptionNames } from '../cms/content-encryption.ts';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { certificatesOf, trustAnchorsOf } from '../gateway/trust.ts';
import { silentLog } from '../log/log.ts';
import { readRootFrom } from '../mail/entity-source.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Verdict } from '../pipeline/ports.ts';
import { decideInbound } from '../policy/decide-inbound.ts';
import { openRevocation } from '../revocation/open-revocation.ts';
import { encryptMessageStream } from '../smime/encrypt-stream.ts';
import type { OpeningContext } from '../smime/open.ts';
import { openMessageStream, type StreamOpening } from '../smime/open-stream.ts';
import { recognise } from '../smime/recognise.ts';
import { signMessageStream } from '../smime/sign-stream.ts';
import { configInEnvironment, readConfig } from './read-config.ts';
import { openMessageFile, readCertificateFiles, writeMessageFile } from './smime-files.ts';
import { type KeyOptions, openCommandKeys, signingKeyOf } from './smime-keys.ts';
import { openedMessage } from './smime-message.ts';
import { readRecipientFiles } from './smime-recipients.ts';
import { reportJson, reportLines } from './smime-report.ts';

/**
 * `sealgate smime …`: what the gateway does to mail, for one message in a file. By the same code, in the same little memory for
 * messages of any size.
 */
export function addSmimeCommands(program: Command): void {
  const smime = program
    .command('smime')
    .description('sign, encrypt, decrypt and verify one message (S/MIME)');
  withKey(
    smime
      .command('sign')
      .description('sign a message')
      .argument('[message]', 'file with a message; - is standard input', '-'),
  )
    .option('--opaque', 'application/pkcs7-mime, which survives list servers; default: multipart/signed')
    .option('-o, --out <file>', 'where the signed message goes; - is standard output', '-')
    .action(sign);
  withKey(
    smime
      .command('encrypt')
      .description('encrypt a message for all recipients; with --key it is signed before')
      .argument('[message]', 'file with a message; - is standard input', '-'),
  )
    .requiredOption('--to <certificate...>', 'files with the certificates of the recipients (PEM, DER)')
    .addOption(
      new Option('--algorithm <name>', 'content encryption; every program reads the default')
        .choices(contentEncryptionNames)
        .default('aes256-cbc'),
    )
    .option('--show-subject', 'leave the Subject readable outside')
    .option('-o, --out <file>', 'where the encrypted message goes; - is standard output', '-')
    .action(encrypt);
  withTrust(
    withKey(
      smime
        .command('decrypt')
        .description('decrypt and unwrap a message')
        .argument('[message]', 'file with a message; - is standard input', '-'),
    ),
  )
    .option('-o, --out <file>', 'where the opened message goes; - is standard output', '-')
    .action(decrypt);
  withTrust(
    withKey(
      smime
        .command('verify')
        .description(
          'report what a message is protected by, check by check; exit code 1 unless it is trusted',
        )
        .argument('[message]', 'file with a message; - is standard input', '-'),
    ),
  )
    .option('--json', 'as JSON')
    .action(verify);
}

function withKey(command: Command): Command {
  return command
    .option(
      '--key <key>',
      'file with a private key (.p12, .pfx or PEM), or the name of one in the configuration',
    )
    .option('--certificate <file>', 'its certificate and chain, where those are in another PEM file')
    .option('--passphrase-file <file>', 'file with its passphrase; SEALGATE_PASSPHRASE without it')
    .option('-c, --config <file>', 'configuration of a gateway, for its keys and trust (or SEALGATE_CONFIG)');
}

function withTrust(command: Command): Command {
  return command
    .option('--anchor <file...>', 'certificate authorities to trust (PEM, DER)')
    .option('--intermediate <file...>', 'certificates that help to build paths (PEM, DER)');
}

type Output = { out: string };
type Configured = { config?: string };
type SignCommand = KeyOptions & Configured & Output & { opaque?: true };
type EncryptCommand = KeyOptions &
  Configured &
  Output & {
    to: string[];
    algorithm: ContentEncryptionName;
    showSubject?: true;
  };
type OpenCommand = KeyOptions & Configured & { anchor?: string[]; intermediate?: string[] };

async function sign(file: string, options: SignCommand): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const message = await openInput(file, opened);
  const form = options.opaque === true ? 'opaque' : 'clear';
  const headerProtection = await protectionOf(message, { kind: 'clear' });
  const signed = await signedBy(message, form, headerProtection, options, opened);
  await writeMessageFile(options.out, signed.read());
}

async function encrypt(file: string, options: EncryptCommand): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const { to, algorithm, showSubject, out } = options;
  const recipients = (await readRecipientFiles(to, new Date())).map((certificate) => ({ certificate }));
  const message = await openInput(file, opened);
  const confidentiality = showSubject === true ? 'none' : 'baseline';
  const headerProtection = await protectionOf(message, { kind: 'cipher', confidentiality });
  const signs = options.key !== undefined;
  const content = signs ? await signedBy(message, 'clear', headerProtection, options, opened) : message;
  const encrypted = await encryptMessageStream(content, recipients, algorithm, {
    headerProtection: signs ? null : headerProtection,
  });
  await writeMessageFile(out, encrypted.octets);
}

/**
 * Only the innermost payload can protect its header: readers of a message that somebody has signed or encrypted already would not
 * find a Subject that is hidden now.
 */
async function protectionOf(
  message: OctetSource,
  wanted: HeaderProtection,
): Promise<HeaderProtection | null> {
  return recognise({ root: await readRootFrom(message) }) === 'none' ? wanted : null;
}

async function openInput(file: string, opened: AsyncDisposableStack): Promise<OctetSource> {
  const { source } = opened.adopt(await openMessageFile(file, encryptedSpool()), (one) => one.close());
  return source;
}

async function signedBy(
  message: OctetSource,
  form: 'clear' | 'opaque',
  headerProtection: HeaderProtection | null,
  options: KeyOptions & Configured,
  opened: AsyncDisposableStack,
): Promise<OctetSource> {
  const keys = opened.adopt(await openCommandKeys(options, await configOf(options)), (one) => one.close());
  const at = new Date();
  return signMessageStream(message, signingKeyOf(keys, at), { form, at, headerProtection });
}

async function decrypt(file: string, options: OpenCommand & Output): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const { source, opening } = await openFile(file, options, opened);
  switch (opening.outcome) {
    case 'opened':
    case 'as-is':
      return await writeMessageFile(options.out, (await openedMessage(source, opening)).read());
    case 'no-key':
      throw refused('The message is encrypted, and none of the keys is for it; name one with --key.');
    case 'failed':
      throw refused('The message could not be decrypted: it is damaged or was changed. Nothing was written.');
  }
}

async function verify(file: string, options: OpenCommand & { json?: true }): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const { opening, failure } = await openFile(file, options, opened);
  const { outcome, report } = opening;
  const verdict = verdictOf(opening, failure);
  const found = { outcome, report, verdict };
  const text =
    options.json === true ? JSON.stringify(reportJson(found), null, 2) : reportLines(found).join('\n');
  process.stdout.write(`${text}\n`);
  if (verdict.kind !== 'trusted') process.exitCode = 1;
}

/** What could not be opened is never trusted, however good the layers around it are. */
function verdictOf({ outcome, report }: StreamOpening, revocation: 'soft' | 'hard'): Verdict {
  switch (outcome) {
    case 'no-key':
      return { kind: 'untrusted', why: 'The mail is encrypted, and none of the keys is for it.' };
    case 'failed':
      return { kind: 'broken', why: 'The mail is damaged or was changed: it could not be opened.' };
    case 'as-is':
    case 'opened':
      return decideInbound(report, { revocation });
  }
}

async function openFile(file: string, options: OpenCommand, opened: AsyncDisposableStack) {
  const config = await configOf(options);
  const keys = opened.adopt(await openCommandKeys(options, config), (one) => one.close());
  const context = await contextOf(options, config, opened);
  const spool = encryptedSpool();
  const { source } = opened.adopt(await openMessageFile(file, spool), (one) => one.close());
  const opening: StreamOpening = opened.adopt(
    await openMessageStream(source, keys.decryption, context, spool),
    (one) => one.discard(),
  );
  return { source, opening, failure: config?.trust.revocation.failure ?? 'soft' };
}

/** Revocation is asked about as the configuration says; without one nothing is fetched. */
async function contextOf(
  { anchor = [], intermediate = [] }: OpenCommand,
  config: Config | null,
  opened: AsyncDisposableStack,
): Promise<OpeningContext> {
  const at = new Date();
  const named = await readCertificateFiles(anchor);
  const intermediates = [
    ...(await readCertificateFiles(intermediate)),
    ...(config === null ? [] : await certificatesOf(config.trust.intermediates)),
  ];
  if (config === null) return { at, anchors: named, pool: intermediates };
  const trust = await trustAnchorsOf(config.trust);
  const revocation = opened.adopt(
    await openRevocation({
      settings: config.trust.revocation,
      // Not the gateway's: whoever runs this command may be somebody else, and would leave files that it cannot write.
      file: null,
      clock: () => new Date(),
      ...{ anchors: [...named, ...trust.all], intermediates, log: silentLog },
    }),
    (one) => one.close(),
  );
  const { subjectEmailAddress } = config.trust;
  return {
    ...{ at, pool: intermediates, subjectEmailAddress, revocation: revocation.checker },
    anchors: (address) => [...named, ...trust.for('signing', address)],
  };
}

/** Only one that was named: these commands do without. */
async function configOf({ config }: Configured): Promise<Config | null> {
  const file = config ?? configInEnvironment();
  return file === null ? null : readConfig(file);
}

function refused(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.not-opened', duration: 'permanent', publicText });
}
