// All places of the page. The patterns are RabbitMQ's, so that bookmarks of its page lead to the
// same here. Of those that match the first is taken; what a page is made of is loaded when somebody
// goes there.

import type { ComponentType } from "preact";
import { match } from "./model/location.ts";
import type { Tag } from "./model/state.ts";
import Overview from "./pages/overview.tsx";

/** What a page is told. */
export interface PageProps {
  params: Record<string, string>;
}

type Load = () => Promise<{ default: ComponentType<PageProps> }>;

export interface Route {
  pattern: string;
  /** The entry of the menu that it belongs to. */
  section: string;
  load: Load;
}

/** An entry of the menu. */
export interface Section {
  id: string;
  title: string;
  /** Where it leads. */
  to: string;
  /** Who sees it. */
  tag?: Tag;
}

/** The menu: groups of entries. */
export const MENU: Section[][] = [
  [{ id: "overview", title: "Overview", to: "#/" }],
  [
    { id: "connections", title: "Connections", to: "#/connections" },
    { id: "channels", title: "Channels", to: "#/channels" },
    { id: "consumers", title: "Consumers", to: "#/consumers" },
  ],
  [
    { id: "exchanges", title: "Exchanges", to: "#/exchanges" },
    { id: "queues", title: "Queues", to: "#/queues" },
    { id: "delayed", title: "Delayed messages", to: "#/delayed", tag: "administrator" },
  ],
  [
    { id: "topology", title: "Topology", to: "#/topology" },
    { id: "route", title: "Where would it go?", to: "#/route" },
  ],
  [
    { id: "users", title: "Users", to: "#/users", tag: "administrator" },
    { id: "vhosts", title: "Virtual hosts", to: "#/vhosts" },
    { id: "policies", title: "Policies", to: "#/policies" },
    { id: "operator-policies", title: "Operator policies", to: "#/operator-policies" },
    { id: "limits", title: "Limits", to: "#/limits" },
    { id: "definitions", title: "Definitions", to: "#/definitions", tag: "administrator" },
    { id: "log", title: "Log", to: "#/log", tag: "administrator" },
    { id: "recordings", title: "Flight recordings", to: "#/recordings", tag: "administrator" },
  ],
];

const route = (pattern: string, section: string, load: Load): Route => ({ pattern, section, load });

/** A page that is loaded with its like. */
function objects(name: keyof typeof import("./pages/objects.ts")): Load {
  return async () => ({ default: (await import("./pages/objects.ts"))[name] });
}

/** The same for those who run the broker. */
function administration(name: keyof typeof import("./pages/administration.ts")): Load {
  return async () => ({ default: (await import("./pages/administration.ts"))[name] });
}

export const ROUTES: Route[] = [
  route("", "overview", async () => ({ default: Overview })),
  route("connections", "connections", objects("Connections")),
  route("connections/:name", "connections", objects("Connection")),
  route("channels", "channels", objects("Channels")),
  route("channels/:name", "channels", objects("Channel")),
  route("consumers", "consumers", objects("Consumers")),
  route("exchanges", "exchanges", objects("Exchanges")),
  route("exchanges/:vhost/:name", "exchanges", objects("Exchange")),
  route("queues", "queues", objects("Queues")),
  route("queues/:vhost/:name", "queues", objects("Queue")),
  route("delayed", "delayed", objects("Delayed")),
  route("topology", "topology", () => import("./pages/topology.tsx")),
  route("route", "route", () => import("./pages/route.tsx")),
  route("users", "users", administration("Users")),
  route("users/:name", "users", administration("User")),
  route("vhosts", "vhosts", administration("Vhosts")),
  route("vhosts/:name", "vhosts", administration("Vhost")),
  route("policies", "policies", administration("Policies")),
  route("operator-policies", "operator-policies", administration("OperatorPolicies")),
  route("limits", "limits", administration("Limits")),
  route("definitions", "definitions", administration("Definitions")),
  route("log", "log", administration("Log")),
  route("recordings", "recordings", administration("Recordings")),
];

/** The route of a place, and the values of its parameters. */
export function find(
  segments: string[],
): { route: Route; params: Record<string, string> } | undefined {
  for (const one of ROUTES) {
    const params = match(one.pattern, segments);
    if (params) return { route: one, params };
  }
  return undefined;
}
