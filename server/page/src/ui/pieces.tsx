// What pages are put together from.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { explain } from "../api/client.ts";
import type { Arguments } from "../api/types.ts";
import * as format from "../model/format.ts";
import { exchangeSegment, link } from "../model/location.ts";

interface HeadingProps {
  title: string;
  /** What it is, in front of a name: `Queue`. */
  kind?: string;
  /** Buttons. */
  children?: ComponentChildren;
}

/** The heading of a page. The keyboard goes there when one comes to the page. */
export function Heading({ title, kind, children }: HeadingProps) {
  const ref = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${kind ? `${kind} ` : ""}${title} · Warren`;
    ref.current?.focus({ preventScroll: true });
  }, [title, kind]);
  return (
    <div class="heading">
      <h1 ref={ref} tabIndex={-1}>
        {kind && <span class="kind">{kind}</span>} {title}
      </h1>
      {children && <div class="actions">{children}</div>}
    </div>
  );
}

interface SectionProps {
  title: string;
  children: ComponentChildren;
  actions?: ComponentChildren;
}

export function Section({ title, children, actions }: SectionProps) {
  return (
    <section class="card">
      <header>
        <h2>{title}</h2>
        {actions && <div class="actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

/** Pairs of a name and a value. */
export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A number that counts, with what it is. */
export function Figure(props: {
  name: string;
  value: ComponentChildren;
  detail?: ComponentChildren;
  to?: string;
  tone?: "ready" | "unacked" | "alarm";
}) {
  const { name, value, detail, to, tone } = props;
  const inner = (
    <>
      <span class="figure-name">{name}</span>
      <span class="figure-value">{value}</span>
      {detail !== undefined && <span class="figure-detail">{detail}</span>}
    </>
  );
  const kind = `figure ${tone ?? ""}`;
  return to ? (
    <a class={kind} href={to}>
      {inner}
    </a>
  ) : (
    <div class={kind}>{inner}</div>
  );
}

/** What there is to be said where there is nothing to be shown. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** Why something cannot be shown. */
export function Failed({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  return (
    <div class="error" role="alert">
      <span>{explain(error)}</span>
      {onRetry && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Waiting() {
  return (
    <p class="waiting" role="status">
      Loading…
    </p>
  );
}

/**
 * What stands where something was asked for: why it cannot be had, above what came before; or, while
 * nothing has come, that it is being loaded.
 */
export function Pending(props: { of: unknown; error: unknown; onRetry: () => void }) {
  if (props.error !== undefined) return <Failed error={props.error} onRetry={props.onRetry} />;
  return props.of === undefined ? <Waiting /> : null;
}

/** A word about the state or nature of something. */
export function Badge(props: {
  children: ComponentChildren;
  tone?: "good" | "warn" | "bad" | "accent";
  hint?: string;
}) {
  return (
    <span class={`badge ${props.tone ?? ""}`} title={props.hint}>
      {props.children}
    </span>
  );
}

/** What is around a table that may be wider than the page: it is scrolled, by keys too. */
export function TableFrame({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
    <section class="table-frame" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}

/** A table of arguments or headers. */
export function Table({ of }: { of: Arguments | undefined }) {
  const entries = Object.entries(of ?? {});
  if (entries.length === 0) return <span class="muted">none</span>;
  return (
    <dl class="arguments">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{format.value(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Tells why nothing is offered to who may do nothing with it. */
export function OnlyLooking({ at, what }: { at: { you_may?: string[] }; what: string }) {
  if (at.you_may?.length !== 0) return null;
  return (
    <p class="hint">
      You may look at this {what}: your permissions in its virtual host let you do no more with it.
    </p>
  );
}

export function QueueLink({ vhost, name }: { vhost: string; name: string }) {
  return <a href={link("queues", vhost, name)}>{name}</a>;
}

export function ExchangeLink({ vhost, name }: { vhost: string; name: string }) {
  const text = name === "" ? "(default)" : name;
  return <a href={link("exchanges", vhost, exchangeSegment(name))}>{text}</a>;
}
