// Numbers, sizes and times as people read them: each with its unit, times in their own zone.

const language = typeof navigator === "undefined" ? "en" : navigator.language;

/**
 * What formats something, made when it is first asked: the first of them in a browser reads a good
 * deal about languages, for which the first thing that is seen is not to wait.
 */
function lazily<T>(make: () => { format: (value: T) => string }): (value: T) => string {
  let made: ReturnType<typeof make> | undefined;
  return (value) => {
    made ??= make();
    return made.format(value);
  };
}

function digits(most: number): (value: number) => string {
  return lazily<number>(() => new Intl.NumberFormat("en", { maximumFractionDigits: most }));
}

function times(options: Intl.DateTimeFormatOptions): (unixMs: number) => string {
  return lazily<number>(() => new Intl.DateTimeFormat(language, options));
}

const [whole, fine, finer] = [digits(0), digits(1), digits(2)];

/** What stands where there is nothing to say. */
export const NOTHING = "–";

/** A count: `12,345`. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? NOTHING : whole(value);
}

/** A count with its noun: `1 queue`, `2 queues`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${whole(value)} ${value === 1 ? one : many}`;
}

/** A rate: `0/s`, `0.4/s`, `12,345/s`. */
export function rate(perSecond: number | null | undefined): string {
  if (perSecond === null || perSecond === undefined) return NOTHING;
  const text = Math.abs(perSecond) < 100 ? fine(perSecond) : whole(perSecond);
  return `${text === "-0" ? "0" : text}/s`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A number of bytes: `0 B`, `1.5 KiB`. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return NOTHING;
  let [rest, unit] = [value, 0];
  while (rest >= 1024 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${unit === 0 || rest >= 100 ? whole(rest) : fine(rest)} ${UNITS[unit]}`;
}

/** Bytes per second: `1.5 KiB/s`. */
export function byteRate(perSecond: number | null | undefined): string {
  return perSecond === null || perSecond === undefined ? NOTHING : `${bytes(perSecond)}/s`;
}

/** Milliseconds that are mostly few: `0 ms`, `0.24 ms`, `14 ms`, `2.5 s`. */
export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return NOTHING;
  if (value >= 1000) return `${fine(value / 1000)} s`;
  return `${(value < 1 ? finer : value < 10 ? fine : whole)(value)} ms`;
}

const STEPS: [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** How long something takes, in its two largest units: `3 d 4 h`, `12 s`, `250 ms`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NOTHING;
  if (ms < 1000) return `${whole(ms)} ms`;
  let seconds = Math.floor(ms / 1000);
  const parts: string[] = [];
  for (const [size, unit] of STEPS) {
    if (seconds >= size && parts.length < 2) {
      parts.push(`${Math.floor(seconds / size)} ${unit}`);
    } else if (parts.length > 0) {
      break;
    }
    seconds %= size;
  }
  return parts.join(" ");
}

const clock = times({ timeStyle: "medium" });
const calendar = times({ dateStyle: "medium", timeStyle: "medium" });
const hourAndMinute = times({ hour: "2-digit", minute: "2-digit" });
const withSeconds = times({ hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** A time of the day as short as it can be. */
export function timeOfDay(unixMs: number, hasSeconds: boolean): string {
  return (hasSeconds ? withSeconds : hourAndMinute)(unixMs);
}

/** A time of the day, in the person's zone. */
export function time(unixMs: number): string {
  return clock(unixMs);
}

/** A day and its time, in the person's zone. */
export function moment(unixMs: number | null | undefined): string {
  return unixMs === null || unixMs === undefined ? NOTHING : calendar(unixMs);
}

/** Settings that are times in milliseconds. */
const TIMES = ["message-ttl", "expires", "consumer-timeout"];

/** The value of a setting, with its unit if it has one: `60,000 ms (1 min)`. */
export function setting(name: string, of: unknown): string {
  if (typeof of !== "number") return value(of);
  if (TIMES.includes(name)) {
    const said = `${whole(of)} ms`;
    return of < 1000 ? said : `${said} (${duration(of)})`;
  }
  return `${whole(of)}${name === "max-length-bytes" ? " B" : ""}`;
}

/** Any value of a table of arguments, as text. */
export function value(of: unknown): string {
  if (of === null || of === undefined) return NOTHING;
  return typeof of === "string" ? of : JSON.stringify(of);
}
