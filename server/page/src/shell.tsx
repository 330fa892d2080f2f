// What is around every page: the menu, who is signed in, and what the person chooses for all of
// them. And the page itself, loaded when it is gone to.

import { Component, type ComponentChildren, type ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { del } from "./api/client.ts";
import { useApi } from "./model/loading.ts";
import { has, interval, person, place, theme, vhost, vhosts } from "./model/state.ts";
import { find, MENU, type PageProps, type Route } from "./routes.ts";
import { Questions } from "./ui/dialog.tsx";
import { Notices } from "./ui/notice.tsx";
import { Empty, Failed, Heading, Waiting } from "./ui/pieces.tsx";

const INTERVALS: [number, string][] = [
  [1000, "every second"],
  [5000, "every 5 s"],
  [15000, "every 15 s"],
  [60000, "every minute"],
  [0, "not by itself"],
];

export function Shell() {
  const found = find(place.value.segments);
  const [isOpen, setOpen] = useState(false);
  const here = window.location.hash;
  useEffect(() => setOpen(false), [here]);
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={skip}>
        Skip to the content
      </button>
      <header class="top">
        <button
          type="button"
          class="menu-button"
          aria-expanded={isOpen}
          aria-controls="menu"
          onClick={() => setOpen(!isOpen)}
        >
          ☰<span class="hidden">Menu</span>
        </button>
        <a class="brand" href="#/">
          Warren
        </a>
        <div class="choices">
          <VhostChoice />
          <label class="inline">
            <span class="choice-name">Refresh</span>
            <select
              value={String(interval.value)}
              onChange={(event) => {
                interval.value = Number(event.currentTarget.value);
              }}
            >
              {INTERVALS.map(([ms, text]) => (
                <option key={ms} value={String(ms)}>
                  {text}
                </option>
              ))}
            </select>
          </label>
          <label class="inline">
            <span class="choice-name">Colours</span>
            <select
              value={theme.value}
              onChange={(event) => {
                theme.value = event.currentTarget.value;
              }}
            >
              <option value="system">as the system</option>
              <option value="light">light</option>
              <option value="dark">dark</option>
            </select>
          </label>
          <span class="person">
            <span title={person.value?.tags.join(", ")}>{person.value?.name}</span>
            <button type="button" onClick={signOut}>
              Sign out
            </button>
          </span>
        </div>
      </header>
      <nav id="menu" class={isOpen ? "side open" : "side"} aria-label="Sections">
        {MENU.map((group, index) => (
          <ul key={index}>
            {group
              .filter((entry) => !entry.tag || has(entry.tag))
              .map((entry) => (
                <li key={entry.id}>
                  <a
                    href={entry.to}
                    {...(found?.route.section === entry.id && { "aria-current": "page" })}
                  >
                    {entry.title}
                  </a>
                </li>
              ))}
          </ul>
        ))}
      </nav>
      <main id="content" tabIndex={-1}>
        {found ? (
          <Boundary key={window.location.hash.split("?", 1)[0] ?? ""}>
            <Lazy route={found.route} params={found.params} />
          </Boundary>
        ) : (
          <Lost />
        )}
      </main>
      <Notices />
      <Questions />
    </div>
  );
}

/** No link, as the address is that of the page. */
function skip(): void {
  document.getElementById("content")?.focus();
}

async function signOut(): Promise<void> {
  try {
    await del("/session");
  } finally {
    person.value = null;
  }
}

function VhostChoice() {
  const { data } = useApi<{ name: string }[]>("/api/vhosts?columns=name", { keep: true });
  const names = vhosts.value;
  useEffect(() => {
    if (data) vhosts.value = data.map(({ name }) => name);
  }, [data]);
  const isGone =
    data !== undefined && vhost.value !== "" && !data.some(({ name }) => name === vhost.value);
  useEffect(() => {
    if (isGone) vhost.value = "";
  }, [isGone]);
  return (
    <label class="inline">
      <span class="choice-name">Virtual host</span>
      <select
        value={vhost.value}
        onChange={(event) => {
          vhost.value = event.currentTarget.value;
        }}
      >
        <option value="">all</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Lost() {
  return (
    <>
      <Heading title="Nothing here" />
      <Empty title="There is no page of this address.">
        <a href="#/">To the overview</a>
      </Empty>
    </>
  );
}

const loaded = new Map<Route, ComponentType<PageProps>>();

function Lazy({ route, params }: { route: Route; params: Record<string, string> }) {
  const [, setReady] = useState<Route>();
  const [error, setError] = useState<unknown>();
  const Page = loaded.get(route);
  useEffect(() => {
    if (loaded.has(route)) return;
    route.load().then(
      (found) => {
        loaded.set(route, found.default);
        setReady(route);
      },
      () => setError(new Error("A part of this page could not be loaded. Reload it.")),
    );
  }, [route]);
  if (error !== undefined) {
    return <Failed error={error} onRetry={() => window.location.reload()} />;
  }
  return Page ? <Page params={params} /> : <Waiting />;
}

/** A fault in one page is shown there, and leaves the rest as it is. */
class Boundary extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state: { error: unknown } = { error: undefined };

  override componentDidCatch(error: unknown) {
    this.setState({ error });
  }

  override render() {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return <Failed error={error} onRetry={() => this.setState({ error: undefined })} />;
  }
}
