import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real servers start in tests; the limits are for a hang, not for a judgement.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // What is waited for comes when it comes: one second is a judgement too, on a machine with work to do.
    expect: { poll: { timeout: 30_000 } },
    pool: 'forks',
    maxWorkers: 4,
  },
});
