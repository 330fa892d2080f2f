//! That every key of RabbitMQ's example configuration, and those most used beside them, mean
//! something here or are known to mean nothing.

use super::super::syntax;

/// Keys as `rabbitmq.conf.example` has them.
const KEYS: &str = "
    deprecated_features.permit.transient_nonexcl_queues listeners.tcp.default listeners.tcp.local
    listeners.tcp.local_v6 listeners.ssl.default listeners.tcp num_acceptors.tcp num_acceptors.ssl
    socket_writer.gc_threshold handshake_timeout reverse_dns_lookups loopback_users.guest
    ssl_options.verify ssl_options.fail_if_no_peer_cert ssl_options.cacertfile ssl_options.certfile
    ssl_options.keyfile ssl_options.password ssl_options.honor_cipher_order
    ssl_options.honor_ecc_order ssl_options.client_renegotiation ssl_options.secure_renegotiate
    ssl_options.versions.1 ssl_options.ciphers.1 ssl_options.bypass_pem_cache ssl_options.depth
    auth_backends.1 auth_backends.1.authn auth_backends.1.authz auth_mechanisms.1
    anonymous_login_user anonymous_login_pass ssl_cert_login_from ssl_handshake_timeout
    load_definitions definitions.import_backend definitions.local.path definitions.https.url
    definitions.skip_if_unchanged password_hashing_module credential_validator.validation_backend
    credential_validator.min_length credential_validator.regexp default_vhost default_user
    default_pass default_permissions.configure default_permissions.read default_permissions.write
    default_user_tags.administrator default_limits.vhosts.prod.pattern
    default_limits.vhosts.prod.max_connections default_policies.operator.limits.vhost_pattern
    default_users.monitoring.vhost_pattern heartbeat frame_max initial_frame_max channel_max
    max_channels_per_connection channel_max_per_node consumer_max_per_channel max_connections
    connection_max session_max_per_connection link_max_per_session tcp_listen_options.backlog
    tcp_listen_options.nodelay tcp_listen_options.exit_on_close tcp_listen_options.keepalive
    tcp_listen_options.send_timeout tcp_listen_options.buffer tcp_listen_options.sndbuf
    default_queue_type quorum_queue.property_equivalence.relaxed_checks_on_redeclaration
    quorum_queue.initial_cluster_size quorum_queue.commands_soft_limit
    quorum_queue.wal_max_size_bytes quorum_queue.continuous_membership_reconciliation.enabled
    classic_queue.default_version stream.listeners.tcp.default stream.heartbeat
    vm_memory_high_watermark.relative vm_memory_high_watermark.absolute
    vm_memory_high_watermark_paging_ratio vm_memory_calculation_strategy
    total_memory_available_override_value disk_free_limit.absolute disk_free_limit.relative
    vhost_max cluster_queue_limit cluster_exchange_limit max_message_size cluster_name
    cluster_tags.region node_tags.role queue_leader_locator queue_master_locator
    cluster_formation.peer_discovery_backend cluster_formation.classic_config.nodes.1
    cluster_formation.dns.hostname cluster_formation.k8s.host cluster_formation.node_type
    cluster_keepalive_interval cluster_partition_handling
    cluster_partition_handling.pause_if_all_down.recover collect_statistics_interval
    raft.segment_max_entries raft.wal_max_size_bytes metadata_store.khepri.default_timeout
    deprecated_features.permit.amqp_address_v1 queue_index_embed_msgs_below background_gc_enabled
    background_gc_target_interval proxy_protocol product.name product.version motd_file
    channel_interceptor.priorities.interceptor_one consumer_timeout net_ticktime
    distribution.listener.port_range.min http_dispatch.access_log_dir management.http_log_dir
    management.http.max_body_size management.tcp.port management.tcp.ip
    management.tcp.shutdown_timeout management.tcp.max_keepalive management.tcp.compress
    management.ssl.port management.ssl.cacertfile management.ssl.certfile management.ssl.keyfile
    management.ssl.honor_cipher_order management.ssl.versions.1 management.ssl.ciphers.1
    management.path_prefix management.rates_mode
    management.sample_retention_policies.global.minute management.load_definitions
    management.credential_encryption_secret management.definitions.require_json_extension
    management.headers.referrer_policy management.http.hide_allow_header
    management.cors.allow_origins.1
    management.disable_stats management.listener.port management_agent.disable_metrics_collector
    prometheus.tcp.port prometheus.return_per_object_metrics prometheus.path
    shovel.delete_after_duration_floor stomp.listeners.tcp.1 web_stomp.hsts.policy
    mqtt.listeners.tcp.1 mqtt.allow_anonymous mqtt.vhost web_mqtt.hsts.policy log.dir log.file
    log.file.level log.file.rotation.date log.file.rotation.size log.file.rotation.count
    log.file.formatter log.console log.console.level log.console.formatter log.exchange
    log.exchange.level log.user.file log.user.level log.connection.level log.channel.level
    log.queue.level log.default.level log.syslog auth_oauth2.resource_server_id
    management.oauth_enabled auth_ldap.servers.1 auth_http.user_path auth_cache.cached_backend
    trust_store.directory federation.exchange_queue_prefix erlang.K
    message_interceptors.incoming.set_header_timestamp.overwrite amqp1_0.default_user
    mnesia_table_loading_retry_timeout runtime_parameters.limits.shovel";

#[test]
fn no_key_that_rabbitmq_has_is_unknown() {
    let unknown = KEYS.split_whitespace().filter(|key| {
        let words = syntax::words(key).expect("is a key");
        super::find(&words).is_none() && super::meaningless(key).is_none()
    });
    assert_eq!(unknown.collect::<Vec<_>>(), [""; 0]);
}
