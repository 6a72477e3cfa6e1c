/** What a client asks, once it has been read and found to be in order. */
export type HttpRequest = {
  method: 'GET' | 'POST';
  /** What the `:name` segments of the route's path stand for, decoded. */
  segments: Readonly<Record<string, string>>;
  query: Fields;
  /** Of a POST; a GET has none. */
  form: Fields;
  /**
   * What stands for one client where requests are counted: its address, or the /64 of an IPv6 one; with the PROXY protocol the one that the
   * balancer told. Null: it is not counted, because many people come from there.
   */
  network: string | null;
};

/** The fields of a query or form, in their order; a name may be there several times. */
export type Fields = readonly (readonly [name: string, value: string])[];

export type HttpAnswer = {
  status: number;
  /** A media type with its parameters; null: there is no body. */
  contentType: string | null;
  body: string | Buffer;
  /** Beyond those that every answer has; they replace those of the same name. Names in lower case. */
  headers?: Readonly<Record<string, string>>;
};

/** One place that a listener serves. */
export type Route = {
  /** `/held/:token`: `:name` stands for one segment that is not empty. */
  path: string;
  /** Answers HEAD too. */
  get(request: HttpRequest): Promise<HttpAnswer>;
  /** Absent: POST is refused. */
  post?(request: HttpRequest): Promise<HttpAnswer>;
};

/** The only value of a field; null: it is not there, or more than once. */
export function onlyValue(fields: Fields, name: string): string | null {
  const [value, ...more] = allValues(fields, name);
  return value === undefined || more.length > 0 ? null : value;
}

export function allValues(fields: Fields, name: string): string[] {
  return fields.flatMap(([key, value]) => (key === name ? [value] : []));
}
