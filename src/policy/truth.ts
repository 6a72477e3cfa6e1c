/** Whether a condition holds, as far as that is known. */

/** `open`: only what is not there yet can tell. `away`: a look-up failed, so nobody knows for now. */
export type Truth = 'yes' | 'no' | 'open' | 'away';

export function truth(holds: boolean): Truth {
  return holds ? 'yes' : 'no';
}

/** Whether they have something in common. */
export function meet(some: readonly string[], others: readonly string[]): boolean {
  return some.some((one) => others.includes(one));
}

/** Yes only where both are. `no` outweighs what is not known; that something was not kept, that it could not be found out. */
export function both(one: Truth, other: Truth): Truth {
  for (const least of ['no', 'open', 'away'] as const) if (one === least || other === least) return least;
  return 'yes';
}

export function either(one: Truth, other: Truth): Truth {
  return negated(both(negated(one), negated(other)));
}

export function negated(one: Truth): Truth {
  return one === 'yes' ? 'no' : one === 'no' ? 'yes' : one;
}
