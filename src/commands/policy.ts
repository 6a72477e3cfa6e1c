import { join } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/load.ts';
import { loadPinnedFiles } from '../directory/pinned-files.ts';
import { SqlDirectory } from '../directory/sql-directory.ts';
import { SealgateError } from '../errors.ts';
import { certificatesOf } from '../gateway.ts';
import { type KeySources, openKeySources, startKeyClient } from '../hsm/key-sources.ts';
import { createKeyring } from '../hsm/keyring.ts';
import { restingPlace } from '../hsm/resting-place.ts';
import { newMailId } from '../ids.ts';
import { silentLog } from '../log/log.ts';
import { algorithmsFor } from '../pipeline/address-algorithms.ts';
import { ownCertificate } from '../pipeline/own-certificate.ts';
import { assessRecipient } from '../pipeline/recipient-certificates.ts';
import { findSigningKey } from '../pipeline/signing-keys.ts';
import { explainVariant, variantLines } from '../pipeline/variant-algorithms.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import { explain, explanationLines } from '../policy/explain.ts';
import { openRevocation } from '../revocation/open-revocation.ts';
import { configuredLogin } from '../sasl/configured-login.ts';
import { Principal } from '../sasl/principal.ts';
import { openDirectoryStore } from '../store/directory-store.ts';
import { keyInventories } from '../store/key-inventories.ts';
import { refusedSecrets } from '../store/refused-secrets.ts';
import { openSqlite, type SqlStore } from '../store/sqlite.ts';
import { configPath, readConfig } from './read-config.ts';

/** `sealgate policy explain`: what would happen to a mail, and why, by the code that would do it. */
export function addPolicyCommands(program: Command): void {
  const policy = program.command('policy').description('what the rules say');
  policy
    .command('explain')
    .description('what would happen to a mail, for each recipient, and why')
    .requiredOption('--from <address>', 'From address')
    .requiredOption('--to <address...>', 'recipients')
    .option('--login <login>', 'login; default: the From address')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON')
    .action((options: ExplainOptions) => explainMail(options));
}

type ExplainOptions = { from: string; to: string[]; login?: string; config?: string; json?: true };

async function explainMail({ from, to, login, config: file, json }: ExplainOptions): Promise<void> {
  for (const address of [from, ...to]) requireAddress(address);
  const config = await readConfig(configPath(file));
  const clock = () => new Date();
  await using opened = new AsyncDisposableStack();
  // Whatever fails from here on, no thread or key process may keep the command from ending.
  const store = opened.adopt(await openSqlite(config.directory.file), (one) => one.close());
  const sources = opened.adopt(await keysWithoutLogin(config, store), (one) => one.close());
  const pinned = await loadPinnedFiles(config.directory.pinned);
  const certificates = opened.adopt(await openDirectoryStore(config.directory.store, store), (one) =>
    one.close(),
  );
  const directory = new SqlDirectory({ store: certificates, pinned, clock, log: silentLog });
  const { loginIsAddress, list: principals } = config.principals;
  const keyring = createKeyring({ principals, loginIsAddress, keys: sources, log: silentLog, clock });
  const principal = Principal.named(configuredLogin(login ?? from));
  const mail = newMailId();
  const [anchors, intermediates] = await Promise.all([
    certificatesOf(config.trust.anchors),
    certificatesOf(config.trust.intermediates),
  ]);
  const revoked = opened.adopt(
    await openRevocation({
      settings: config.trust.revocation,
      file: join(config.stateFolder, 'revocation.sqlite'),
      ...{ anchors, intermediates, clock, log: silentLog },
    }),
    (one) => one.close(),
  );
  const { standing } = revoked;
  const revocation = { standing, failure: config.trust.revocation.failure };
  const { postQuantum } = config.smime;
  const signing = await findSigningKey(keyring, principal, from, mail, standing);
  const recipients = await Promise.all(
    to.map(async (address) => ({
      address,
      visible: true,
      certificates: await assessRecipient(directory, address, clock(), silentLog, {
        postQuantum,
        revocation,
      }),
    })),
  );
  const belongs = keyring.addressesOf(principal);
  const explanation = explain(
    { principal, from, sender: null, belongs, protection: 'none', signing: signing.facts, recipients },
    config.policy.rules,
  );
  const { decision } = explanation;
  const variants = decision.kind === 'deliver' ? decision.variants : [];
  const encrypts = variants.some(({ encrypt }) => encrypt !== null);
  const sender = { mail, principal, from, at: clock(), standing };
  const profiles = principals.flatMap(({ login: each, profiles: own }) =>
    own.map((one) => ({ ...one, login: each })),
  );
  const facts = {
    certificates: recipients.map(({ certificates }) => certificates),
    signingKey: signing.key,
    own: await ownCertificate(sender, keyring, encrypts, config.smime.postQuantum),
    settings: algorithmsFor(config.smime, profiles, principal, from),
  };
  const messages = variants.map((variant) => explainVariant(variant, facts, to));
  const text =
    json === true
      ? JSON.stringify({ ...explanation, messages }, null, 2)
      : [...explanationLines(explanation), ...messages.flatMap(variantLines)].join('\n');
  process.stdout.write(`${text}\n`);
}

/** No key is used here: of a token that the gateway knows, what it remembers is enough, and no PIN is asked for or sent. */
function keysWithoutLogin(config: Config, store: SqlStore): Promise<KeySources> {
  const clock = () => new Date();
  return openKeySources(config.keys, {
    ...{ log: silentLog, clock, postQuantum: config.smime.postQuantum, awaitRemovable: true },
    remembered: keyInventories(store, clock),
    refusals: refusedSecrets(store, clock),
    startPlace: (place) =>
      place.remembered === null ? startKeyClient(place) : restingPlace(place.remembered),
  });
}

function requireAddress(text: string): void {
  if (parseMailbox(text) !== null) return;
  throw new SealgateError({
    code: 'command.address',
    duration: 'permanent',
    publicText: `${JSON.stringify(text)} is not a mail address; one like alice@example.org is expected.`,
  });
}
