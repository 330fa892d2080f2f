// Where in the page one is, which is what stands behind the `#`: RabbitMQ's paths, so that
// bookmarks of its page lead to the same here. What a list shows stands there too, behind a `?`.

export interface Location {
  /** The segments of the path, with their escapes undone. */
  segments: string[];
  query: URLSearchParams;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Reads what stands behind the address, with its `#`. */
export function parse(hash: string): Location {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const segments = path.split("/").filter((segment) => segment !== "");
  return { segments: segments.map(decoded), query: new URLSearchParams(query) };
}

/** The address of a place. */
export function link(...segments: string[]): string {
  return `#/${segments.map((segment) => encodeURIComponent(segment)).join("/")}`;
}

/** The address of a place with this behind the `?`. */
export function linkWith(query: Record<string, string>, ...segments: string[]): string {
  const text = new URLSearchParams(query).toString();
  return text ? `${link(...segments)}?${text}` : link(...segments);
}

/** What stands in paths for an exchange's name: the default one has none of its own. */
export function exchangeSegment(name: string): string {
  return name === "" ? "amq.default" : name;
}

/** The values of `:names` in a pattern such as `queues/:vhost/:name`, if the place is of its form. */
export function match(pattern: string, segments: string[]): Record<string, string> | undefined {
  const wanted = pattern.split("/").filter((part) => part !== "");
  if (wanted.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const given = segments[index] ?? "";
    if (part.startsWith(":")) params[part.slice(1)] = given;
    else if (part !== given) return undefined;
  }
  return params;
}
