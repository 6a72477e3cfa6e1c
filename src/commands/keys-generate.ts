import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { type Command, Option } from 'commander';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { generateKey, KEY_KINDS, type KeyKind } from '../hsm/key-store/generate-key.ts';
import type { KeyStore } from '../hsm/key-store/key-store.ts';
import { type TokenKeyType, tokenKeyTypes } from '../hsm/management-messages.ts';
import { printable } from '../log/printable.ts';
import { parseCertificate } from '../pki/certificate.ts';
import {
  certificateRequest,
  type RequestedSubject,
  type RequestSigner,
  requestSchemeFor,
  selfSignedCertificate,
} from '../pki/certificate-request.ts';
import { writePem } from '../pki/pem.ts';
import { jsonText } from './json-output.ts';
import { openStore, type StoreOptions } from './key-store-options.ts';
import { requireKeyName, type SubjectOptions, subjectOf } from './key-subject.ts';
import { type OutputOptions, requireFree, writeOutput } from './output-file.ts';
import { tellProgress } from './progress.ts';
import { secretSource, withSecrets } from './secret-options.ts';
import { askToken, namedConfig, type TokenOptions, tokenPlace, withToken } from './token-options.ts';

type GenerateOptions = TokenOptions &
  StoreOptions &
  SubjectOptions &
  OutputOptions & {
    type: KeyKind;
    name?: string;
    exportable?: true;
    selfSigned?: string;
    useLastTry?: true;
    json?: true;
  };

/** What was made: a request for a certificate, or a certificate. */
type Made = { name: string; publicKey: KeyObject } & ({ request: Buffer } | { certificate: Buffer });

/** `sealgate keys generate`: a key in a key store or a token, and the request for its certificate. */
export function addKeysGenerate(keys: Command): void {
  withSecrets(
    withToken(
      keys
        .command('generate')
        .description('a new key in a key store or on a token, and the PKCS#10 request for its certificate'),
    ),
    ...(['pin', 'password'] as const),
  )
    .option('--store <folder>', 'key store that it goes into')
    .addOption(new Option('--type <type>', 'kind of key').choices(KEY_KINDS).default('rsa-3072'))
    .requiredOption('--address <address...>', 'mail addresses that the certificate is for')
    .option('--name <name>', 'what the key is called; default: the first address')
    .option('--common-name <name>', 'name of the person in the certificate; default: the first address')
    .option('--organization <name>')
    .option('--organizational-unit <name>')
    .option('--country <code>', 'two letters')
    .addOption(
      new Option('--use <use>', 'what the key is for')
        .choices(['sign-and-decrypt', 'sign', 'decrypt'])
        .default('sign-and-decrypt'),
    )
    .option('--exportable', 'the key may be taken out again; without it never')
    .option(
      '--self-signed <days>',
      'instead of a request a certificate that nobody else trusts, valid so long',
    )
    .option('--use-last-try', 'use the last try for the PIN')
    .option('-o, --out <file>', 'where the request goes (PEM); - is standard output', '-')
    .option('--force', 'overwrite the file')
    .option('--json', 'as JSON, the request in it')
    .action(generate);
}

async function generate(options: GenerateOptions): Promise<void> {
  const subject = subjectOf(options);
  const name = requireKeyName(options.name ?? subject.addresses[0] ?? '');
  const days = options.selfSigned === undefined ? null : daysOf(options.selfSigned);
  await requireFree(options);
  const config = await namedConfig(options);
  const store = await openStore(options, config);
  const made =
    store === null
      ? await onToken(options, config, { name, subject, days })
      : await inStore(store, options, { name, subject, days }).finally(() => store.close());
  await tell(options, made);
}

type Wanted = { name: string; subject: RequestedSubject; days: number | null };

async function inStore(
  store: KeyStore,
  options: GenerateOptions,
  { name, subject, days }: Wanted,
): Promise<Made> {
  // Before seconds of work: names are taken once.
  const { keys } = await store.list();
  if (keys.some((key) => key.name === name)) throw taken(name);
  tellProgress(`generating the key (${options.type})`);
  const privateKey = await generateKey(options.type);
  const publicKey = createPublicKey(privateKey);
  const settings = { name, exportable: options.exportable === true, use: options.use };
  const signer = signerOf(privateKey, publicKey);
  if (days === null) {
    const request = await certificateRequest(subject, signer);
    await store.add(privateKey, [], settings);
    return { name, publicKey, request };
  }
  const certificate = await selfSignedCertificate(subject, signer, { days, from: new Date() });
  await store.add(privateKey, [parseCertificate(certificate)], settings);
  return { name, publicKey, certificate };
}

async function onToken(
  options: GenerateOptions,
  config: Config | null,
  { name, subject, days }: Wanted,
): Promise<Made> {
  const { type, module, token, source } = options;
  if (config === null && [module, token, source].every((one) => one === undefined)) throw nowhere();
  if (!isTokenType(type)) throw notForTokens(type);
  const place = await tokenPlace(options, config);
  const { pin } = place;
  const {
    publicKey,
    certificateRequest: request,
    certificate,
  } = await askToken<'generate'>(place, {
    ...{ kind: 'generate', type, label: name },
    extractable: options.exportable === true,
    login: { pin: secretSource('pin', options, pin), useLastTry: options.useLastTry === true },
    subject: { ...subject, addresses: [...subject.addresses] },
    selfSignedDays: days,
  });
  const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
  if (request !== null) return { name, publicKey: key, request: Buffer.from(request) };
  return { name, publicKey: key, certificate: Buffer.from(certificate ?? []) };
}

async function tell(options: GenerateOptions, made: Made): Promise<void> {
  const isRequest = 'request' in made;
  const pem = isRequest
    ? writePem('CERTIFICATE REQUEST', made.request)
    : writePem('CERTIFICATE', made.certificate);
  const what = isRequest ? 'certificateRequest' : 'certificate';
  if (options.json === true) {
    if (options.out !== '-') await writeOutput(options, Buffer.from(pem));
    process.stdout.write(`${jsonText({ name: made.name, type: options.type, [what]: pem })}\n`);
    return;
  }
  await writeOutput(options, Buffer.from(pem));
  const next = isRequest
    ? 'send the request to your certificate authority, and give what comes back to “sealgate keys import”'
    : 'its certificate is trusted by nobody but those who are told to';
  process.stderr.write(`The key “${printable(made.name)}” was generated; ${next}.\n`);
}

function signerOf(privateKey: KeyObject, publicKey: KeyObject): RequestSigner {
  const scheme = requestSchemeFor(publicKey);
  if (scheme === null) throw new Error('every kind of key that is generated here signs');
  const digest = 'digest' in scheme ? scheme.digest : null;
  return { publicKey, scheme, sign: async (_scheme, data) => sign(digest, data, privateKey) };
}

function isTokenType(type: KeyKind): type is TokenKeyType & KeyKind {
  return tokenKeyTypes.some((one) => one === type);
}

function daysOf(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 1 && days <= 3_650) return days;
  throw new SealgateError({
    code: 'command.days',
    duration: 'permanent',
    publicText: `--self-signed takes a number of days, 1 to 3650; “${printable(text)}” is none.`,
  });
}

function nowhere(): SealgateError {
  return new SealgateError({
    code: 'command.store',
    duration: 'permanent',
    publicText:
      'Say where the key goes: --store FOLDER, a token with --module and --token, or --source NAME of the configuration.',
  });
}

function taken(name: string): SealgateError {
  return new SealgateError({
    code: 'key.name-taken',
    duration: 'permanent',
    publicText: `The key store has a key with the name “${printable(name)}” already; choose another one with --name.`,
  });
}

function notForTokens(type: string): SealgateError {
  return new SealgateError({
    code: 'key.type-not-offered',
    duration: 'permanent',
    publicText: `Tokens generate no keys of the type ${type}; choose ${tokenKeyTypes.join(', ')}, or a key store with --store.`,
  });
}
