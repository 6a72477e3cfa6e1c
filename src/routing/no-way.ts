/** Why mail for a domain cannot be taken anywhere. */
export type NoWay = {
  /** `later`: it may become possible. */
  kind: 'failed' | 'later';
  /** RFC 3463, with the class that fits `kind`. */
  status: string;
  /** A sentence's end for people: what is wrong. */
  because: string;
};

export function hopeless(status: `5.${string}`, because: string): NoWay {
  return { kind: 'failed', status, because };
}

export function notNow(status: `4.${string}`, because: string): NoWay {
  return { kind: 'later', status, because };
}
