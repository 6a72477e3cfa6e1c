// Starts a Dovecot, says where, and waits to be killed: what becomes of the mail server then is the test's question.
import { startDovecot } from '../../../src/evaluation/dovecot.ts';

const dovecot = await startDovecot({ users: [{ login: 'alice', password: 'a' }] });
process.stdout.write(`${JSON.stringify({ port: dovecot.imapPort, mail: dovecot.mailFolder('alice') })}\n`);
setInterval(() => undefined, 1_000);
