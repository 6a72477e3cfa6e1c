/** Whose turn it is to be killed: each once, in an order by chance, and from then on anybody. So no run of some length spares one of them. */
export function* victimsByChance<T>(victims: readonly T[], chance: () => number): Generator<T, never> {
  const spared = [...victims];
  for (;;) {
    const from = spared.length > 0 ? spared : victims;
    const at = Math.floor(chance() * from.length);
    const victim = from[at];
    if (victim === undefined) throw new Error('there is nobody to be killed');
    if (from === spared) spared.splice(at, 1);
    yield victim;
  }
}
