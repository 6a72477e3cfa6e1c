import type { Config } from '../config/load.ts';
import { AnswerAddresses } from '../holding/answer-address.ts';
import { Answers } from '../holding/answers.ts';
import { HeldLinks } from '../holding/held-links.ts';
import { WaitingMails } from '../holding/held-mails.ts';
import { HeldStore } from '../holding/held-store.ts';
import { HoldingDesk } from '../holding/holding-desk.ts';
import { Looking } from '../holding/looking.ts';
import { Releases } from '../holding/releases.ts';
import { Turns } from '../holding/turns.ts';
import { heldProtector } from '../pipeline/held-protector.ts';
import type { JudgingParts } from '../pipeline/judge-submission.ts';
import type { CertificateDirectory, OwnMailbox } from '../pipeline/ports.ts';
import type { Holding } from '../pipeline/waiting.ts';
import type { OwnMails } from '../queue/own-mail.ts';
import type { Queue } from '../queue/ports.ts';
import type { Installation } from '../store/installation.ts';
import type { Opening } from './opening.ts';
import type { OwnQueue } from './queue.ts';

export type HoldingParts = {
  queue: OwnQueue;
  installation: Installation;
  judging: JudgingParts;
  directory: CertificateDirectory;
};

/** Mail that waits, for those who need something of it. */
export type HoldingSide = {
  holding: Holding;
  mails: WaitingMails;
  links: HeldLinks;
  ownMails: OwnMails;
  queue: Queue;
  /** The gateway as the recipient of answers. */
  ownMailbox: OwnMailbox;
  /** A certificate was noted for this address. */
  told(address: string): void;
  /** Begins to look at what waits. */
  start(): void;
};

const DAY_MS = 24 * 60 * 60 * 1000;

export function openHolding(
  { config, log, clock, opened }: Opening,
  { queue: own, installation, judging, directory }: HoldingParts,
): HoldingSide {
  const { store, spool, queue, ownMails } = own;
  const { hostname, holding: settings } = config;
  const deliveryDays = deliveryDaysOf(config);
  const turns = new Turns();
  const held = new HeldStore({ store, spool, queue, clock, log });
  const links = new HeldLinks(installation.viewSecret, clock);
  const addresses = new AnswerAddresses(installation.viewSecret, ownMails.address);
  const { algorithms, addressAlgorithms, revocation, keyring } = judging;
  const releases = new Releases({
    ...{ held, store, turns, ownMails, hostname, clock, log },
    deliveryMs: deliveryDays * DAY_MS,
    protector: heldProtector({
      ...{ directory, clock, log },
      ...(algorithms === undefined ? {} : { algorithms }),
      ...(addressAlgorithms === undefined ? {} : { addressAlgorithms }),
      ...(revocation === undefined ? {} : { revocation }),
    }),
  });
  const mails = new WaitingMails({ store, held, releases, turns, ownMails, hostname, clock });
  const everyMs = settings.lookAgainMinutes * 60_000;
  const looking = new Looking({ store, held, releases, mails, everyMs, clock, log });
  const desk = new HoldingDesk({
    ...{ store, spool, queue, ownMails, addresses, links, clock, log },
    settings: { days: settings.days, deliveryDays, url: settings.url },
    held(waiting) {
      for (const address of waiting) looking.told(address);
    },
  });
  return {
    ...{ holding: desk, mails, links, ownMails, queue },
    ownMailbox: new Answers({ addresses, held, mails, keyring, ownMails, queue, log }),
    told: (address) => looking.told(address),
    start() {
      opened.keep({ close: () => looking.stop() });
      looking.start();
    },
  };
}

function deliveryDaysOf({ queue }: Config): number {
  if (queue === null) throw new Error('mail waits where there is no queue');
  return queue.days;
}
