//! Keys of RabbitMQ that mean nothing here, with the reason: a configuration that has them is
//! taken, with a warning for each. Where passing one over would leave a door open or shut, it is
//! refused.

/// A key, or all that begin with it.
pub(in super::super) struct Meaningless {
    /// The key; with a dot or `*` at its end, all that begin so. A word with a `$` stands for any.
    pub(in super::super) name: &'static str,
    /// Why it means nothing.
    pub(in super::super) why: &'static str,
    /// Whether it is refused.
    pub(in super::super) is_refused: bool,
}

impl Meaningless {
    fn is(&self, key: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(begin) => key.starts_with(begin),
            None if self.name.ends_with('.') => key.starts_with(self.name),
            None => {
                let (own, words) = (self.name.split('.'), key.split('.'));
                own.clone().count() == words.clone().count()
                    && own.zip(words).all(|(own, word)| own.starts_with('$') || own == word)
            }
        }
    }
}

/// Why this key means nothing, if it is known and does.
pub(in super::super) fn meaningless(key: &str) -> Option<&'static Meaningless> {
    ALL.iter().find(|known| known.is(key))
}

/// All of them.
pub(in super::super) fn known() -> impl Iterator<Item = &'static Meaningless> {
    ALL.iter()
}

/// The keys among them that stand for themselves only.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|known| known.name).filter(|name| !name.ends_with(['.', '*']))
}

const fn warned(name: &'static str, why: &'static str) -> Meaningless {
    Meaningless { name, why, is_refused: false }
}

const fn refused(name: &'static str, why: &'static str) -> Meaningless {
    Meaningless { name, why, is_refused: true }
}

const PROTOCOL: &str = "this protocol is not there yet";
const MANAGEMENT: &str = "the management API has no such setting";
const METRICS: &str = "metrics have no such setting";
const ERLANG: &str = "it is about Erlang's runtime, which is not here";
const ONE_NODE: &str = "a broker is one node so far";
const NO_QUORUM: &str = "queues of all types are in one log, with no replicas so far";
const ONE_LOG: &str = "all queues are in one log, which has no such setting";
const LIBRARY: &str = "the TLS library decides it, as it is safe";
const BACKEND: &str = "the broker itself is the only one who knows users";
const SOCKET: &str = "sockets are set as the broker needs them";
const NO_CATEGORY: &str = "logs are not divided into categories";
const NO_LIMIT: &str = "there is no such limit";
const INSIDE: &str = "it is about how RabbitMQ works inside";

/// More special ones come before those that begin as they do.
const ALL: [Meaningless; 97] = [
    warned("mqtt.", PROTOCOL),
    warned("web_mqtt.", PROTOCOL),
    warned("stomp.", PROTOCOL),
    warned("web_stomp.", PROTOCOL),
    warned("stream.", PROTOCOL),
    warned("amqp1_0.", PROTOCOL),
    warned("session_max_per_connection", PROTOCOL),
    warned("link_max_per_session", PROTOCOL),
    refused("management.listener.ssl*", "TLS for the management API is management.ssl.port"),
    refused("management.ssl.password", "a private key that is encrypted cannot be read"),
    warned("management.", MANAGEMENT),
    warned("management_agent.", MANAGEMENT),
    warned("http_dispatch.", MANAGEMENT),
    warned("collect_statistics", MANAGEMENT),
    warned("collect_statistics_interval", MANAGEMENT),
    refused("prometheus.ssl.password", "a private key that is encrypted cannot be read"),
    warned("prometheus.", METRICS),
    refused("definitions.https.", "definitions come from files only"),
    refused("definitions.tls.", "definitions come from files only"),
    warned("definitions.hashing.algorithm", "changes are found with SHA-256"),
    warned("cluster_formation.", ONE_NODE),
    warned("cluster_partition_handling", ONE_NODE),
    warned("cluster_partition_handling.", ONE_NODE),
    warned("cluster_keepalive_interval", ONE_NODE),
    warned("cluster_tags.", ONE_NODE),
    warned("node_tags.", ONE_NODE),
    warned("queue_master_locator", ONE_NODE),
    warned("queue_leader_locator", ONE_NODE),
    warned("mirroring_sync_batch_size", ONE_NODE),
    warned("mirroring_sync_max_throughput", ONE_NODE),
    warned("prevent_startup_if_node_was_reset", ONE_NODE),
    warned("raft.", NO_QUORUM),
    warned("quorum_queue.", NO_QUORUM),
    warned("metadata_store.", NO_QUORUM),
    warned("consumer_disconnected_timeout", NO_QUORUM),
    warned("classic_queue.", ONE_LOG),
    warned("queue_index_embed_msgs_below", ONE_LOG),
    warned("message_store_shutdown_timeout", ONE_LOG),
    warned("vm_memory_high_watermark_paging_ratio", ONE_LOG),
    warned("queue_types.", "every type of queue that is there may be used"),
    warned("exchange_types.", "every type of exchange that is there may be used"),
    warned("deprecated_features.permit.", "all of them are permitted that are there"),
    warned("erlang.", ERLANG),
    warned("net_ticktime", ERLANG),
    warned("distribution.", ERLANG),
    warned("sysmon_handler.", ERLANG),
    warned("hipe_compile", ERLANG),
    warned("background_gc_enabled", ERLANG),
    warned("background_gc_target_interval", ERLANG),
    warned("vm_memory_calculation_strategy", ERLANG),
    warned("memory_monitor_interval", ERLANG),
    warned("socket_writer.", ERLANG),
    warned("num_acceptors.", "one thread takes all connections"),
    warned("ranch_connection_max", "one thread takes all connections"),
    warned("default_worker_pool_size", INSIDE),
    warned("delegate_count", INSIDE),
    warned("mnesia_table_loading_retry_timeout", INSIDE),
    warned("mnesia_table_loading_retry_limit", INSIDE),
    warned("channel_interceptor.", INSIDE),
    warned("vhost_restart_strategy", INSIDE),
    warned("product.", INSIDE),
    warned("motd_file", INSIDE),
    warned("tcp_listen_options", SOCKET),
    warned("tcp_listen_options.", SOCKET),
    warned("reverse_dns_lookups", "clients are known by their addresses"),
    warned("initial_frame_max", "until it is agreed, a frame has 8192 bytes at the most"),
    warned("runtime_parameters.", NO_LIMIT),
    refused("ssl_options.password", "a private key that is encrypted cannot be read"),
    refused("ssl_options.cert", "a certificate comes from a file: ssl_options.certfile"),
    refused("ssl_options.key.", "a private key comes from a file: ssl_options.keyfile"),
    refused("ssl_options.psk_identity", "there are no shared keys"),
    refused("ssl_options.crl_sources.", "certificates that were withdrawn are not known"),
    warned("ssl_options", LIBRARY),
    warned("ssl_options.", LIBRARY),
    warned("ssl_allow_poodle_attack", LIBRARY),
    warned("auth_ldap.", BACKEND),
    warned("auth_http.", BACKEND),
    warned("auth_oauth2.", BACKEND),
    warned("auth_cache.", BACKEND),
    warned("trust_store.", BACKEND),
    refused("message_interceptors.", "messages are not changed on their way in or out"),
    warned("default_policies.operator.$policy.max_in_memory_length", INSIDE),
    warned("default_policies.operator.$policy.max_in_memory_bytes", INSIDE),
    warned("default_policies.operator.$policy.classic_queues.ha_mode", ONE_NODE),
    warned("default_policies.operator.$policy.classic_queues.ha_params", ONE_NODE),
    warned("default_policies.operator.$policy.classic_queues.ha_sync_mode", ONE_NODE),
    warned("default_policies.operator.$policy.classic_queues.queue_version", ONE_LOG),
    warned("shovel.", "the broker is no client of others"),
    warned("federation.", "the broker is no client of others"),
    warned("amqp_client.", "the broker is no client of others"),
    warned("amqp10_client.", "the broker is no client of others"),
    warned("aws.", "the broker asks nothing of AWS"),
    warned("log.file.rotation.compress", "old files are as they were written"),
    warned("log.file.", "a record has the form it has"),
    warned("log.exchange*", "there is no exchange of log records"),
    warned("log.console.", "a record has the form it has"),
    warned("log.", NO_CATEGORY),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_name_or_by_how_it_begins() {
        let why = |key| meaningless(key).map(|known| known.why);
        assert_eq!(why("mqtt.listeners.tcp.default"), Some(PROTOCOL));
        assert_eq!(why("mqtt"), None);
        assert_eq!(why("net_ticktime"), Some(ERLANG));
        assert_eq!(why("net_ticktime.x"), None);
        assert_eq!(why("log.file.formatter.time_format"), why("log.console.use_colors"));
        assert_eq!(why("log.connection.level"), Some(NO_CATEGORY));
        let policy = |key: &str| {
            meaningless(&format!("default_policies.operator.{key}")).map(|known| known.why)
        };
        assert_eq!(policy("a.classic_queues.ha_mode"), Some(ONE_NODE));
        assert_eq!((policy("ha_mode"), policy("a.ha_mode")), (None, None));
        assert!(meaningless("ssl_options.password").is_some_and(|known| known.is_refused));
        assert!(meaningless("ssl_options.depth").is_some_and(|known| !known.is_refused));
    }
}
