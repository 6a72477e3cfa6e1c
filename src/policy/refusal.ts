/** Why one recipient is refused. */
export type Refusal = {
  duration: 'temporary' | 'permanent';
  /** RFC 3463. */
  enhancedCode: string;
  /** Same for all recipients that are refused for the same reason; their addresses are told apart from it. */
  problem: string;
  /** What the sender can do. */
  remedy: string;
};
