import { createTransport } from 'nodemailer';

/** A mail of Alice's to Bob with a number (numbered-sink.ts). @returns null: it was accepted; else what was said instead */
export async function sendNumbered(
  number: number,
  { host, port }: { host: string; port: number },
): Promise<string | null> {
  const client = createTransport({
    ...{ host, port, ignoreTLS: true },
    auth: { user: 'alice', pass: 'pass' },
  });
  const mail = { from: 'alice@sealgate.test', to: 'bob@sealgate.test', subject: `number ${number}` };
  try {
    await client.sendMail({ ...mail, text: `This is number ${number}.` });
    return null;
  } catch (error) {
    return String(error);
  } finally {
    client.close();
  }
}
