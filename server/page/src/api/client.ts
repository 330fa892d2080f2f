// Requests of the management API.
//
// Each carries a header that no page of another origin can send, which the server asks for where a
// cookie says who asks. What comes back is JSON or an `ApiError`; nothing else is thrown but the
// `AbortError` of a request that nobody waits for any more.

/** What the server answered instead of what was asked for, or that it did not answer. */
export class ApiError extends Error {
  /** The status, or 0 when there was no answer. */
  readonly status: number;
  /** RabbitMQ's word for it. */
  readonly kind: string;
  /** All of what it answered, if that was an object. */
  readonly body: unknown;

  constructor(status: number, kind: string, reason: string, body?: unknown) {
    super(reason);
    this.name = "ApiError";
    this.status = status;
    this.kind = kind;
    this.body = body;
  }

  /** Whether it says that nobody is signed in any more. */
  get isSignedOut(): boolean {
    return this.status === 401 && this.kind === "not_authorized";
  }
}

type Query = Record<string, string | number | boolean | undefined>;

let signedOut: () => void = () => {};

/** Has this called when the server says that nobody is signed in. */
export function onSignedOut(listener: () => void): void {
  signedOut = listener;
}

/** The path `/api/a/b` of segments, each of which may hold any character. */
export function path(...segments: (string | number)[]): string {
  return ["/api", ...segments.map((segment) => encodeURIComponent(segment))].join("/");
}

/** A path with what stands behind the question mark; what is undefined is left out. */
export function withQuery(to: string, query: Query): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) pairs.set(key, String(value));
  }
  const text = pairs.toString();
  return text ? `${to}?${text}` : to;
}

async function send(method: string, to: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("x-warren-request", "1");
  try {
    return await fetch(to, { ...init, method, headers, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "no_answer", "the broker does not answer");
  }
}

async function failure(response: Response): Promise<ApiError> {
  let [kind, reason] = ["", ""];
  let body: { error?: unknown; reason?: unknown } | undefined;
  try {
    body = await response.json();
    kind = String(body?.error ?? "");
    const told = body?.reason ?? body;
    reason = typeof told === "string" ? told : JSON.stringify(told);
  } catch {
    reason = `the broker answered ${response.status} ${response.statusText}`.trim();
  }
  return new ApiError(response.status, kind, reason, body);
}

async function answered(method: string, to: string, init: RequestInit): Promise<Response> {
  const response = await send(method, to, init);
  if (response.ok) return response;
  const error = await failure(response);
  if (error.isSignedOut && !to.startsWith("/session")) signedOut();
  throw error;
}

async function request<T>(
  method: string,
  to: string,
  body?: unknown,
  init: RequestInit = {},
): Promise<T> {
  const sent =
    body === undefined
      ? init
      : { ...init, body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const response = await answered(method, to, sent);
  const text = await response.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

export function get<T>(to: string, signal?: AbortSignal): Promise<T> {
  return request<T>("GET", to, undefined, signal ? { signal } : {});
}

/** What is no JSON. */
export async function getBytes(to: string): Promise<ArrayBuffer> {
  return (await answered("GET", to, {})).arrayBuffer();
}

export function put<T = void>(to: string, body: unknown = {}): Promise<T> {
  return request<T>("PUT", to, body);
}

export function post<T = void>(to: string, body: unknown = {}): Promise<T> {
  return request<T>("POST", to, body);
}

/** Deletes; the reason is told to whom it concerns, and stands in the log. */
export function del<T = void>(to: string, reason?: string): Promise<T> {
  const init = reason ? { headers: { "x-reason": reason } } : {};
  return request<T>("DELETE", to, undefined, init);
}

/** What went wrong, in words for the person who looks at it. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) {
    return error instanceof Error ? error.message : String(error);
  }
  if (error.status === 0) {
    return "The broker does not answer. It may be starting, or the network is down.";
  }
  if (error.kind === "not_authorised") {
    return `You may not do this: ${error.message}. It takes another tag or permission of your user.`;
  }
  if (error.status === 404) {
    return error.message === "Not Found"
      ? "There is no such object. It may have been deleted, or belong to a virtual host that you may not see."
      : error.message;
  }
  if (error.status === 503) {
    return `The broker cannot do this now: ${error.message}. Try again in a moment.`;
  }
  return error.message;
}
