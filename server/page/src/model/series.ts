// Numbers over time, and what can be said of them.

/** Numbers over time: `at` in Unix seconds, and as many values of each series; null is unknown. */
export interface Timeline {
  at: number[];
  series: Record<string, (number | null)[]>;
}

/** Puts what is new behind what there is, and forgets what is older than `from`. */
export function extended(before: Timeline, more: Timeline, from: number): Timeline {
  const last = before.at.at(-1) ?? Number.NEGATIVE_INFINITY;
  const fresh = more.at.findIndex((at) => at > last);
  const begin = before.at.findIndex((at) => at >= from);
  const join = <T>(old: T[], added: T[]): T[] => [
    ...(begin < 0 ? [] : old.slice(begin)),
    ...(fresh < 0 ? [] : added.slice(fresh)),
  ];
  const at = join(before.at, more.at);
  const series: Timeline["series"] = {};
  for (const name of new Set([...Object.keys(before.series), ...Object.keys(more.series)])) {
    const unknown = (of: Timeline) => of.at.map(() => null);
    series[name] = join(before.series[name] ?? unknown(before), more.series[name] ?? unknown(more));
  }
  return { at, series };
}

/** The last value that is known of a series. */
export function latest(timeline: Timeline | undefined, name: string): number | undefined {
  return timeline?.series[name]?.findLast((value) => value !== null) ?? undefined;
}

/** The last values of several series together; `undefined` if none is known. */
export function together(timeline: Timeline | undefined, ...names: string[]): number | undefined {
  const known = names.map((name) => latest(timeline, name)).filter((value) => value !== undefined);
  return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) : undefined;
}
