// What the management API answers with, as far as this page reads it.

export interface WhoAmI {
  name: string;
  tags: string[];
}

export interface Detail {
  rate: number;
}

export interface MessageStats {
  publish?: number;
  publish_details?: Detail;
  confirm?: number;
  confirm_details?: Detail;
  deliver?: number;
  deliver_details?: Detail;
  deliver_no_ack?: number;
  deliver_no_ack_details?: Detail;
  deliver_get?: number;
  deliver_get_details?: Detail;
  get?: number;
  get_details?: Detail;
  get_no_ack?: number;
  get_no_ack_details?: Detail;
  redeliver?: number;
  redeliver_details?: Detail;
  ack?: number;
  ack_details?: Detail;
  return_unroutable?: number;
  return_unroutable_details?: Detail;
  drop_unroutable?: number;
  drop_unroutable_details?: Detail;
}

export type Arguments = Record<string, unknown>;

/** What the server says that who asks may do to it. */
interface Rightful {
  you_may?: string[];
}

export interface Queue extends Rightful {
  name: string;
  vhost: string;
  type: string;
  durable: boolean;
  auto_delete: boolean;
  exclusive: boolean;
  arguments: Arguments;
  state: string;
  node: string;
  messages?: number;
  messages_ready?: number;
  messages_unacknowledged?: number;
  messages_ram?: number;
  messages_paged_out?: number;
  message_bytes?: number;
  memory?: number;
  consumers?: number;
  policy?: string | null;
  operator_policy?: string | null;
  effective_policy_definition?: Arguments;
  delivery_limit?: number | string;
  exclusive_consumer_tag?: string | null;
  single_active_consumer_tag?: string | null;
  message_stats?: MessageStats;
  messages_details?: Detail;
  consumer_details?: Consumer[];
  owner_pid_details?: { name: string };
}

export interface Exchange extends Rightful {
  name: string;
  vhost: string;
  type: string;
  durable: boolean;
  auto_delete: boolean;
  internal: boolean;
  arguments: Arguments;
  policy: string | null;
  message_stats?: {
    publish_in?: number;
    publish_in_details?: Detail;
    publish_out?: number;
    publish_out_details?: Detail;
  };
}

export interface Binding extends Rightful {
  source: string;
  vhost: string;
  destination: string;
  destination_type: "queue" | "exchange";
  routing_key: string;
  arguments: Arguments;
  properties_key: string;
}

export interface Connection {
  name: string;
  user_provided_name?: string;
  state: string;
  user: string;
  vhost: string | null;
  protocol: string;
  auth_mechanism: string;
  peer_host: string;
  peer_port: number;
  host: string;
  port: number;
  ssl: boolean;
  ssl_protocol: string | null;
  peer_cert_subject: string | null;
  channels: number;
  channel_max: number;
  frame_max: number;
  timeout: number;
  client_properties: Arguments;
  connected_at: number;
  recv_oct: number;
  send_oct: number;
}

export interface Channel {
  name: string;
  number: number;
  user: string;
  vhost: string;
  state: string;
  connection_details: { name: string; peer_host: string; peer_port: number };
  prefetch_count: number;
  global_prefetch_count: number;
  consumer_count: number;
  messages_unacknowledged: number;
  messages_unconfirmed: number;
  messages_uncommitted: number;
  acks_uncommitted: number;
  confirm: boolean;
  transactional: boolean;
  consumer_details?: Consumer[];
}

export interface Consumer {
  queue: { name: string; vhost: string };
  consumer_tag: string;
  channel_details: {
    name: string;
    number: number;
    user: string;
    connection_name: string;
    peer_host: string;
    peer_port: number;
  };
  ack_required: boolean;
  prefetch_count: number;
  exclusive: boolean;
  active: boolean;
  activity_status: string;
  messages_unacknowledged: number;
  arguments: Arguments;
}

export interface Message {
  id?: string;
  payload: string | null;
  payload_bytes?: number;
  payload_encoding?: "string" | "base64";
  properties?: Arguments & { headers?: Arguments };
  exchange?: string;
  routing_key?: string;
  redelivered?: boolean;
  delivery_count?: number;
  expires_at?: number | null;
  message_count?: number;
}

export interface Overview {
  product_name: string;
  product_version: string;
  rabbitmq_version: string;
  cluster_name: string;
  node: string;
  object_totals: Record<"channels" | "connections" | "consumers" | "exchanges" | "queues", number>;
  queue_totals: { messages: number; messages_ready: number; messages_unacknowledged: number };
  message_stats: MessageStats;
  listeners: { protocol: string; ip_address: string; port: number }[];
}

/** A page of a list. */
export interface Page<T> {
  items: T[];
  item_count: number;
  total_count: number;
  filtered_count: number;
  page: number;
  page_size: number;
  page_count: number;
}
