import { TimeSlice } from '../../../src/octets/time-slice.ts';

/** A slice whose time is over each time that it is asked, and how often others had their turn. */
export function countedTurns(): { slice: TimeSlice; turns: () => number } {
  let now = 0;
  let turns = 0;
  const later = async (): Promise<void> => {
    turns++;
  };
  const slice = new TimeSlice(() => {
    now += 1_000;
    return now;
  }, later);
  return { slice, turns: () => turns };
}
