// A list of the API: filtered, sorted and cut into pages by the server, so that it is as quick with
// 100,000 objects as with ten. What is shown of it stands in the address, and the columns chosen
// are kept by the browser.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { withQuery } from "../api/client.ts";
import type { Page } from "../api/types.ts";
import { count, time } from "../model/format.ts";
import { useApi } from "../model/loading.ts";
import { columns as chosen, place, setQuery, vhost, vhosts } from "../model/state.ts";
import { Pending, TableFrame } from "./pieces.tsx";

export interface Column<Row> {
  /** What it is known by where choices are kept. */
  id: string;
  title: string;
  /** A sentence about it. */
  hint?: string;
  /** The fields of the API that it takes. */
  fields: string[];
  cell: (row: Row) => ComponentChildren;
  /** The field to sort by, if one can. */
  sort?: string;
  /** Numbers stand at the right. */
  numeric?: boolean;
  /** Names take the room that numbers leave. */
  wide?: boolean;
  /** Whether it is shown only if it is chosen. */
  optional?: boolean;
}

interface ListProps<Row> {
  /** What it is known by where choices are kept: `queues`. */
  name: string;
  /** What the rows are: `queue`, `queues`. */
  nouns: [string, string];
  path: string;
  columns: Column<Row>[];
  rowKey: (row: Row) => string;
  /** Fields that rows need whichever columns are shown. */
  fields?: string[];
  /** What is shown where there is nothing at all. */
  empty: ComponentChildren;
  /** Changes when the list is to be asked for at once. */
  version?: number;
}

const SIZES = [25, 50, 100, 250, 500];
const SIZE = 50;

/** What of a list is shown, as it stands in the address. */
interface View {
  page: number;
  size: number;
  filter: string;
  isPattern: boolean;
  sort: string;
  isReverse: boolean;
}

function read(query: URLSearchParams): View {
  const number = (name: string, otherwise: number) => {
    const given = Number(query.get(name));
    return Number.isInteger(given) && given > 0 ? given : otherwise;
  };
  return {
    page: number("page", 1),
    size: Math.min(number("size", SIZE), 500),
    filter: query.get("name") ?? "",
    isPattern: query.get("regex") === "1",
    sort: query.get("sort") ?? "name",
    isReverse: query.get("reverse") === "1",
  };
}

function write(view: View): void {
  const query = new URLSearchParams(place.value.query);
  const set = (name: string, value: string, isDefault: boolean) =>
    isDefault ? query.delete(name) : query.set(name, value);
  set("page", String(view.page), view.page === 1);
  set("size", String(view.size), view.size === SIZE);
  set("name", view.filter, view.filter === "");
  set("regex", "1", !view.isPattern);
  set("sort", view.sort, view.sort === "name");
  set("reverse", "1", !view.isReverse);
  setQuery(query);
}

export function List<Row>(props: ListProps<Row>) {
  const { name, nouns, path, columns, rowKey, empty, version } = props;
  const view = read(place.value.query);
  const change = (part: Partial<View>) => write({ ...view, page: 1, ...part });
  const wanted = chosen.value[name];
  // Where there is one virtual host only, or one is chosen, it goes without saying.
  const isOneVhost = vhost.value !== "" || vhosts.value.length === 1;
  const isUsual = (one: Column<Row>) => !one.optional && !(one.id === "vhost" && isOneVhost);
  const shown = columns.filter((one) => (wanted ? wanted.includes(one.id) : isUsual(one)));
  const fields = new Set(props.fields ?? []);
  for (const column of shown) for (const field of column.fields) fields.add(field);
  const asked = withQuery(path, {
    page: view.page,
    page_size: view.size,
    name: view.filter || undefined,
    use_regex: view.isPattern || undefined,
    sort: view.sort,
    sort_reverse: view.isReverse || undefined,
    columns: [...fields].join(","),
  });
  const { data, error, at, reload } = useApi<Page<Row>>(asked, { keep: true });
  useEffect(() => {
    if (version) reload();
  }, [version]);

  // What was deleted meanwhile may have been all of the last page.
  useEffect(() => {
    if (data && data.page_count > 0 && view.page > data.page_count) {
      write({ ...view, page: data.page_count });
    }
  });

  const sortBy = (column: Column<Row>) => {
    if (!column.sort) return;
    // Numbers are looked at from the largest down.
    const isSame = view.sort === column.sort;
    change({
      sort: column.sort,
      isReverse: isSame ? !view.isReverse : column.numeric === true,
    });
  };

  return (
    <div class="list">
      <div class="list-bar">
        <Filter nouns={nouns} view={view} onChange={change} />
        <span class="list-count" role="status">
          {data && tellCount(data, nouns, view.filter !== "")}
        </span>
        <ColumnChoice name={name} columns={columns} shown={shown} />
      </div>
      <Pending of={data} error={error} onRetry={reload} />
      {data?.total_count === 0 && empty}
      {data && data.total_count > 0 && data.filtered_count === 0 && (
        <p class="empty">
          None of {count(data.total_count)} {data.total_count === 1 ? nouns[0] : nouns[1]} has this
          in its name.{" "}
          <button type="button" onClick={() => change({ filter: "" })}>
            Show all
          </button>
        </p>
      )}
      {data && data.items.length > 0 && (
        <TableFrame label={`List of ${nouns[1]}`}>
          <table>
            <thead>
              <tr>
                {shown.map((column) => (
                  <Head key={column.id} column={column} view={view} onSort={sortBy} />
                ))}
              </tr>
            </thead>
            <tbody>
              {data.items.map((row) => (
                <tr key={rowKey(row)}>
                  {shown.map((column) => (
                    <td
                      key={column.id}
                      class={column.numeric ? "number" : column.wide ? "wide-column" : ""}
                      data-title={column.title}
                    >
                      {column.cell(row)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </TableFrame>
      )}
      {data && data.total_count > 0 && (
        <Pager
          data={data}
          view={view}
          at={at}
          onChange={change}
          onPage={(page) => write({ ...view, page })}
        />
      )}
    </div>
  );
}

function tellCount<Row>(data: Page<Row>, nouns: [string, string], isFiltered: boolean): string {
  const noun = data.total_count === 1 ? nouns[0] : nouns[1];
  return isFiltered
    ? `${count(data.filtered_count)} of ${count(data.total_count)} ${noun}`
    : `${count(data.total_count)} ${noun}`;
}

interface FilterProps {
  nouns: [string, string];
  view: View;
  onChange: (part: Partial<View>) => void;
}

function Filter({ nouns, view, onChange }: FilterProps) {
  const [text, setText] = useState(view.filter);
  useEffect(() => setText(view.filter), [view.filter]);
  useEffect(() => {
    if (text === view.filter) return;
    const timer = window.setTimeout(() => onChange({ filter: text }), 250);
    return () => window.clearTimeout(timer);
  });
  return (
    <search class="filter">
      <input
        type="search"
        aria-label={`Filter ${nouns[1]} by name`}
        placeholder="Filter by name"
        value={text}
        spellcheck={false}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <label class="inline">
        <input
          type="checkbox"
          checked={view.isPattern}
          onChange={(event) => onChange({ isPattern: event.currentTarget.checked })}
        />
        Regex
      </label>
    </search>
  );
}

interface HeadProps<Row> {
  column: Column<Row>;
  view: View;
  onSort: (column: Column<Row>) => void;
}

function Head<Row>({ column, view, onSort }: HeadProps<Row>) {
  const isSorted = column.sort === view.sort;
  const order = isSorted ? (view.isReverse ? "descending" : "ascending") : undefined;
  return (
    <th
      scope="col"
      class={column.numeric ? "number" : column.wide ? "wide-column" : ""}
      title={column.hint}
      {...(order && { "aria-sort": order })}
    >
      {column.sort ? (
        <button type="button" class="sort" onClick={() => onSort(column)}>
          {column.title}
          {isSorted && <span aria-hidden="true">{view.isReverse ? "↓" : "↑"}</span>}
        </button>
      ) : (
        column.title
      )}
    </th>
  );
}

function ColumnChoice<Row>(props: { name: string; columns: Column<Row>[]; shown: Column<Row>[] }) {
  const { name, columns, shown } = props;
  const id = useId();
  const toggle = (column: Column<Row>) => {
    const isShown = (one: Column<Row>) => shown.includes(one) !== (one === column);
    const ids = columns.filter(isShown).map((one) => one.id);
    if (ids.length > 0) chosen.value = { ...chosen.value, [name]: ids };
  };
  return (
    <div class="menu">
      <button type="button" popovertarget={id}>
        Columns
      </button>
      <div id={id} popover="auto" class="menu-body">
        {columns.map((column) => (
          <label key={column.id} class="inline">
            <input
              type="checkbox"
              checked={shown.includes(column)}
              onChange={() => toggle(column)}
            />
            {column.title}
          </label>
        ))}
        <button
          type="button"
          onClick={() => {
            const { [name]: _, ...others } = chosen.value;
            chosen.value = others;
          }}
        >
          Reset
        </button>
      </div>
    </div>
  );
}

interface PagerProps<Row> {
  data: Page<Row>;
  view: View;
  at: number | undefined;
  onPage: (page: number) => void;
  onChange: (part: Partial<View>) => void;
}

function Pager<Row>({ data, view, at, onPage, onChange }: PagerProps<Row>) {
  const last = Math.max(data.page_count, 1);
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" disabled={view.page <= 1} onClick={() => onPage(view.page - 1)}>
        ‹ Previous
      </button>
      <label class="inline">
        Page
        <input
          // Not tied to the view, as what is being written would go with the next answer.
          key={view.page}
          type="number"
          min={1}
          max={last}
          defaultValue={view.page}
          onChange={(event) => {
            const page = Math.round(Number(event.currentTarget.value));
            onPage(Math.min(Math.max(page || 1, 1), last));
          }}
        />
        of {count(last)}
      </label>
      <button type="button" disabled={view.page >= last} onClick={() => onPage(view.page + 1)}>
        Next ›
      </button>
      <label class="inline">
        <select
          value={String(view.size)}
          onChange={(event) => onChange({ size: Number(event.currentTarget.value) })}
        >
          {SIZES.map((size) => (
            <option key={size} value={String(size)}>
              {size}
            </option>
          ))}
        </select>
        on a page
      </label>
      {at !== undefined && <span class="muted">as of {time(at)}</span>}
    </nav>
  );
}
