import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { gatewayLogin, outgoingServerOptions } from '../../src/gateway/outgoing-server.ts';

/** What is said of mail servers that the gateway itself sends to. */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-config-'));
  for (const name of ['root.pem', 'g.crt', 'g.key', 'tls.pem', 'tls.key', 'open.key']) {
    await writeFile(join(folder, name), 'not read here', { mode: 0o600 });
  }
  await writeFile(join(folder, 'secret'), 'sésame\n', { mode: 0o600 });
  await chmod(join(folder, 'open.key'), 0o644);
});
afterAll(() => rm(folder, { recursive: true }));

const place = { host: 'mail.example.org', port: 587, tls: 'starttls' };

async function load(server: object, relayUpstream: object | null = null) {
  const file = join(folder, 'gateway.yaml');
  const relay = {
    ...{ name: 'mx', host: '127.0.0.1', port: 2525, tls: 'none', direction: 'inbound' },
    ...{ domains: ['example.org'], upstream: { ...place, ...relayUpstream } },
  };
  await writeFile(
    file,
    stringify({
      ...{ hostname: 'gw.example.org', stateFolder: 'state', trust: { anchors: ['root.pem'] } },
      submission: [{ name: 'submission', host: '127.0.0.1', port: 2587, tls: 'none', upstream: place }],
      ...(relayUpstream === null ? {} : { relay: [relay] }),
      keys: [{ name: 'gateway', kind: 'pem', certificate: 'g.crt', key: 'g.key' }],
      principals: { list: [] },
      policy: { rules: [{ name: 'all', sign: 'never', encrypt: 'never' }] },
      queue: { key: 'gateway', address: 'secure-mail@example.org', server: { ...place, ...server } },
    }),
  );
  return loadConfig(file, {});
}

async function serverOf(server: object) {
  const loaded = await load(server);
  if (loaded.kind !== 'ok') throw new Error(JSON.stringify(loaded.problems));
  const { queue } = loaded.config;
  if (queue === null || queue.server === null) throw new Error('there is no server');
  return queue.server;
}

const secret = { file: 'secret' };
const oauth2 = {
  ...{ kind: 'oauth2', login: 'g@example.org', clientId: 'id', clientSecret: secret },
  tokenEndpoint: 'https://login.example.org/token',
};
const clock = () => new Date();

test('by itself a server speaks SMTP and the gateway does not log in', async () => {
  const server = await serverOf({});
  expect(outgoingServerOptions(server)).toMatchObject({ protocol: 'smtp' });
  expect(await gatewayLogin(server, clock)).toBeNull();
});

test('a password is carried in octets, and is not shown', async () => {
  const server = await serverOf({ authentication: { kind: 'password', login: 'g', password: secret } });
  const login = await gatewayLogin(server, clock);
  expect(login?.kind === 'password' && Buffer.from(login.password.reveal(), 'latin1').toString()).toBe(
    'sésame',
  );
  expect(inspect([server, login], { depth: 9 })).not.toContain('sésame');
});

test('tokens come from an endpoint by https, with what they are for', async () => {
  const server = await serverOf({ protocol: 'lmtp', authentication: { ...oauth2, scope: 'a b' } });
  expect(outgoingServerOptions(server).protocol).toBe('lmtp');
  expect((await gatewayLogin(server, clock))?.kind).toBe('oauth2');
  await expect(
    gatewayLogin(await serverOf({ authentication: { ...oauth2, ca: 'root.pem' } }), clock),
  ).rejects.toMatchObject({ code: 'upstream.ca-file' });
});

test('a certificate is shown in TLS', async () => {
  const server = await serverOf({
    authentication: { kind: 'certificate', certificate: 'tls.pem', key: 'tls.key' },
  });
  expect(outgoingServerOptions(server).clientCertificate).toEqual({
    ...{ certificateFile: join(folder, 'tls.pem'), keyFile: join(folder, 'tls.key') },
  });
  expect(await gatewayLogin(server, clock)).toEqual({ kind: 'certificate', name: null });
});

const certificate = { kind: 'certificate', certificate: 'tls.pem', key: 'tls.key' };
test.each([
  ['another kind', { authentication: { kind: 'kerberos' } }, /kind is password, oauth2 or certificate/],
  ['a token by http', { authentication: { ...oauth2, tokenEndpoint: 'http://x.test/' } }, /https/],
  ['a login in the URL', { authentication: { ...oauth2, tokenEndpoint: 'https://a:b@x.test/' } }, /https/],
  [
    'a secret in the file',
    { authentication: { ...oauth2, clientSecret: 'sesame' } },
    /not written in this file/,
  ],
  ['a scope of two lines', { authentication: { ...oauth2, scope: 'a\nb' } }, /words of ASCII/],
  ['a key that others may read', { authentication: { ...certificate, key: 'open.key' } }, /open\.key/],
  ['two logins', { login: 'g', password: secret, authentication: oauth2 }, /write one of the two/],
  [
    'a certificate without TLS',
    { tls: 'none', allowPlaintext: true, authentication: certificate },
    /shown with TLS only/,
  ],
  ['another protocol', { protocol: 'uucp' }, /smtp/],
])('is refused: %s', async (_, server, says) => {
  const loaded = await load(server);
  const problems = loaded.kind === 'ok' ? [] : loaded.problems;
  expect(problems.map(({ path, text }) => `${path}: ${text}`).join('\n')).toMatch(says);
  expect(problems.every(({ line, column }) => line > 0 && column > 0)).toBe(true);
});

test('behind relay listeners it is the same, and listeners with logins have none of it', async () => {
  const loaded = await load({}, { protocol: 'lmtp', authentication: oauth2 });
  if (loaded.kind !== 'ok') throw new Error(JSON.stringify(loaded.problems));
  const [listener] = loaded.config.relay;
  expect(listener?.upstream).toMatchObject({ protocol: 'lmtp', authentication: { kind: 'oauth2' } });
  expect(loaded.config.submission[0]?.upstream).not.toHaveProperty('authentication');
  const untold = await load({}, { tls: 'none', allowPlaintext: true, authentication: certificate });
  expect(untold.kind === 'ok' ? [] : untold.problems.map(({ text }) => text)).toContainEqual(
    'a certificate is shown with TLS only',
  );
});
