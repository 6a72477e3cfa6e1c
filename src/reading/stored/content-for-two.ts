import type { OpenOutcome } from '../../pipeline/ports.ts';

export type OpenedContent = Extract<OpenOutcome, { kind: 'opened' }>;

/** What was opened, for two that let go of it at different times: whoever makes its view, and whoever keeps it. */
export function contentForTwo(opened: OpenedContent): {
  opened: OpenedContent;
  release(): Promise<void>;
} {
  let holders = 2;
  const part = (): (() => Promise<void>) => {
    let isHeld = true;
    return async () => {
      if (!isHeld) return;
      isHeld = false;
      if (--holders === 0) await opened.discard?.();
    };
  };
  return { opened: { ...opened, discard: part() }, release: part() };
}
