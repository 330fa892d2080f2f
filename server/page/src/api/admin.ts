// What the management API answers with about those who run the broker, and what it asks of them.

import type { Arguments, Exchange } from "./types.ts";

export interface User {
  name: string;
  tags: string[];
  password_hash: string;
  hashing_algorithm: string;
  limits: Limits;
}

/** Limits by their names: `max-connections`. */
export type Limits = Record<string, number>;

export interface Permission {
  user: string;
  vhost: string;
  configure: string;
  write: string;
  read: string;
}

export interface TopicPermission {
  user: string;
  vhost: string;
  exchange: string;
  write: string;
  read: string;
}

export interface Vhost {
  name: string;
  description: string;
  tags: string[];
  default_queue_type: string;
  limits: Limits;
  protected_from_deletion: boolean;
  messages?: number;
  messages_ready?: number;
  messages_unacknowledged?: number;
}

export interface Policy {
  vhost: string;
  name: string;
  pattern: string;
  "apply-to": string;
  definition: Arguments;
  priority: number;
}

/** What a policy would be for. */
export interface PolicyPreview {
  matched: number;
  would_apply: number;
  items: PolicyMatch[];
}

export interface PolicyMatch {
  name: string;
  type: string;
  wins: boolean;
  policy: string | null;
  other: string | null;
}

/** Where a message would go. */
export interface Course {
  routing_keys: string[];
  delay_ms: number | null;
  exchanges: Exchange[];
  steps: CourseStep[];
  steps_total: number;
  queues: CourseQueue[];
  queues_total: number;
  direct_replies: number;
}

export interface CourseStep {
  source: string;
  destination: string;
  destination_type: "queue" | "exchange" | "reply";
  by: "binding" | "queue_name" | "hash" | "chance" | "alternate";
  certain: boolean;
  bindings: { routing_key: string; arguments: Arguments }[];
  more_bindings: boolean;
}

export interface CourseQueue {
  name: string;
  certain: boolean;
  full: boolean;
}

/** What an import of definitions did. */
export interface ImportReport {
  counts: Record<string, Partial<Record<"created" | "updated" | "bound" | "skipped", number>>>;
  skipped: { kind: string; vhost: string; name: string; why: string }[];
  failed?: { at: string; reason: string };
}

export interface Recordings {
  /** Whether what goes into the broker is recorded now. */
  recording: boolean;
  /** Whether each start is recorded, as the configuration says. */
  configured: boolean;
  /** Whether the next start is recorded. */
  next: boolean;
  directory: string;
  files: { name: string; bytes: number; modified: number; current: boolean }[];
}
