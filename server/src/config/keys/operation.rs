//! Keys of metrics, of logs and of the node.

use tracing::level_filters::LevelFilter;

use super::super::settings::Settings;
use super::super::value;
use super::listeners::{VERIFY, VERSIONS};
use super::{KEY, Key};
use crate::logging::{LEVELS, Schedule};

pub(super) const METRICS: [Key; 15] = [
    Key {
        name: "prometheus.tcp.port",
        group: "prometheus.tcp",
        example: "15692",
        about: "The port of metrics, for Prometheus, and of what tells of health.",
        set: |settings, _, text| {
            settings.metrics.port = Some(value::integer(text, 0, u16::MAX)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.tcp.ip",
        group: "prometheus.tcp",
        example: "127.0.0.1",
        about: "The IP address of that port. Without a configuration file it is 127.0.0.1; with \
                one it is on all interfaces, as in RabbitMQ. Nobody is asked for a password \
                there, unless prometheus.authentication.enabled is true.",
        set: |settings, _, text| {
            let ip = text.parse().map_err(|_| format!("`{text}` is not an IP address"))?;
            settings.metrics.ip = Some(ip);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.tcp.listener",
        group: "prometheus.tcp",
        example: "127.0.0.1:15692",
        about: "Both, over what is said of them: an IP address and a port, or `none`.",
        set: metrics_address,
        ..KEY
    },
    Key {
        name: "warren.metrics",
        group: "prometheus.tcp",
        example: "127.0.0.1:15692",
        about: "The same: a port, for all interfaces, or an IP address and a port, or `off`.",
        set: metrics_address,
        ..KEY
    },
    Key {
        name: "prometheus.path",
        default: Some("/metrics"),
        about: "The path of metrics. Below it are /per-object, /detailed and /memory-breakdown.",
        set: |settings, _, text| {
            if !text.starts_with('/') {
                return Err(format!("`{text}` does not begin with a slash"));
            }
            settings.metrics.path = text.trim_end_matches('/').to_owned();
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.return_per_object_metrics",
        default: Some("false"),
        about: "Whether at this path there is a line for each queue, channel and connection, and \
                not only the sums.",
        set: |settings, _, text| {
            settings.metrics.is_per_object = value::boolean(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.authentication.enabled",
        default: Some("false"),
        about: "Whether metrics are for users with the tag `monitoring` or `administrator` only. \
                What tells of health is for everybody.",
        set: |settings, _, text| {
            settings.metrics.has_authentication = value::boolean(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.ssl.port",
        group: "prometheus.ssl",
        example: "15691",
        about: "The port of metrics for those who speak TLS. Without prometheus.tcp.port there is \
                no other then.",
        set: |settings, _, text| {
            settings.metrics.ssl_port = Some(value::integer(text, 0, u16::MAX)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.ssl.ip",
        group: "prometheus.ssl",
        example: "127.0.0.1",
        about: "The IP address of that port: all interfaces, if nothing is said.",
        set: |settings, _, text| {
            let ip = text.parse().map_err(|_| format!("`{text}` is not an IP address"))?;
            settings.metrics.ssl_ip = Some(ip);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.ssl.certfile",
        example: "/etc/warren/tls/metrics.pem",
        about: "Its certificate. Without one, all that is said of TLS for other clients \
                (ssl_options) is for metrics too.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.metrics.tls.certfile = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.ssl.keyfile",
        example: "/etc/warren/tls/metrics.key",
        about: "The certificate's private key.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.metrics.tls.keyfile = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.ssl.cacertfile",
        example: "/etc/warren/tls/ca.pem",
        about: "Whose certificates of clients are trusted.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.metrics.tls.cacertfile = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.ssl.verify",
        default: Some("verify_none"),
        about: "With `verify_peer`, who asks for metrics is asked for a certificate.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.metrics.tls.verify_peer = value::one_of(text, &VERIFY)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.ssl.fail_if_no_peer_cert",
        default: Some("false"),
        about: "With prometheus.ssl.verify = verify_peer, whether who has no certificate is not \
                let in.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.metrics.tls.fail_if_no_peer_cert = value::boolean(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "prometheus.ssl.versions.$version",
        group: "prometheus.ssl.versions",
        example: "tlsv1.3",
        about: "A version that may be spoken: tlsv1.2 or tlsv1.3; both, unless one is named.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.metrics.tls.versions.push(value::one_of(text, &VERSIONS)?);
            Ok(())
        },
        ..KEY
    },
];

fn metrics_address(settings: &mut Settings, _: &str, text: &str) -> Result<(), String> {
    settings.metrics.address = Some(match text {
        "off" | "none" => None,
        address => Some(value::listen_address(address)?),
    });
    Ok(())
}

pub(super) const LOGS: [Key; 11] = [
    Key {
        name: "log.console",
        default: Some("true"),
        about: "Whether logs go to standard error, for systemd or the container to keep. The last \
                of them are in memory too: `warren ctl log_tail`.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.log.is_on = value::boolean(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.console.level",
        example: "info",
        about: "What is logged there: error, warning, info (which counts if nothing is said), \
                debug, or none.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.log.console = Some(level(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.default.level",
        example: "info",
        about: "The same, where log.console.level and log.file.level do not say it.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.log.default = Some(level(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.file.level",
        example: "info",
        about: "What is logged in the file. Without one it is the same as log.default.level.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.log.file = Some(level(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.console.formatter",
        default: Some("plaintext"),
        about: "How a record is written: plaintext, for people, or json, one object a line.",
        set: |settings, _, text| {
            settings.log.is_json = is_json(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.file",
        example: "warren.log",
        about: "A file that logs go to as well, or `false`. Where nothing is said there is none, \
                unless log.dir is said; then it is warren.log. The broker opens it anew when it \
                reads its configuration again, for those that have moved it away.",
        set: |settings, _, text| {
            settings.log.file_name = Some(match text {
                "" => return Err("it is the name of a file, or `false`".into()),
                "false" | "off" => None,
                name => Some(name.into()),
            });
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.dir",
        example: "/var/log/warren",
        about: "The directory of that file; made if it does not exist. Where nothing is said it is \
                `log`, in the data directory.",
        set: |settings, _, text| {
            settings.log.dir = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.file.formatter",
        default: Some("plaintext"),
        about: "How a record is written there: plaintext or json.",
        set: |settings, _, text| {
            settings.log.file_is_json = is_json(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.file.rotation.date",
        example: "$D0",
        about: "When the file gets the name warren.log.0 and a new one begins: `$D0` is each day \
                at midnight, `$D23H30` at 23:30, `$H00` each hour, `$W0D4` on Sundays at 4:00, \
                `$M1D0` on the first of each month. The hours are UTC, as in the records. Never, \
                where nothing is said.",
        set: |settings, _, text| {
            settings.log.rotation.date = match text {
                "" => None,
                _ => Some(Schedule::read(text).ok_or_else(|| {
                    format!("`{text}` is no time that comes again, such as $D0 or $W0D23")
                })?),
            };
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.file.rotation.size",
        example: "10485760",
        about: "The same, when the file would have more bytes than this; 0 is no limit.",
        set: |settings, _, text| {
            let len = value::bytes(text)?;
            settings.log.rotation.len_max = (len > 0).then_some(len);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "log.file.rotation.count",
        default: Some("5"),
        about: "How many old files there are; with more, the oldest is deleted.",
        set: |settings, _, text| {
            settings.log.rotation.kept = value::integer(text, 0, 1000)?;
            Ok(())
        },
        ..KEY
    },
];

pub(super) const NODE: [Key; 5] = [
    Key {
        name: "warren.data_dir",
        default: Some("warren-data"),
        about: "Where the broker keeps its data; made if it does not exist.",
        set: |settings, _, text| {
            settings.data_dir = text.into();
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "warren.node_name",
        default: Some("warren@localhost"),
        about: "What clients and logs are told the node is called. Its data are where they are, \
                whatever it is called.",
        set: |settings, _, text| {
            settings.core.node_name = text.to_owned();
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "cluster_name",
        example: "rabbits",
        about: "What clients are told that the cluster is called: as the node, if nothing is said.",
        set: |settings, _, text| {
            settings.cluster_name = Some(text.to_owned());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "warren.record",
        example: "/var/lib/warren/recordings",
        about: "Where to record what goes into the broker, for `warren-sim replay DIR`: \
                everything that clients send, logins too, but for the bodies of messages. Each \
                start makes a file of its own.",
        set: |settings, _, text| {
            settings.record = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "warren.record_max",
        default: Some("1GiB"),
        about: "How much all recordings in this directory may take. A start deletes the oldest, \
                and a recording that comes to the limit ends.",
        set: |settings, _, text| {
            settings.record_max = value::size(text)?;
            Ok(())
        },
        ..KEY
    },
];

pub(super) const DEFINITIONS: [Key; 4] = [
    Key {
        name: "load_definitions",
        alias: "management.load_definitions",
        example: "/etc/warren/definitions.json",
        about: "A file of definitions, as the management API exports them, that each start \
                imports before anybody can connect; or a directory of files that end in .json. \
                What they do not have stays as it is. A start that cannot import them ends. With \
                definitions, a new broker has no default user and no default virtual host.",
        set: |settings, _, text| {
            settings.definitions.load = (text != "none").then(|| text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "definitions.import_backend",
        example: "local_filesystem",
        about: "RabbitMQ's newer form of the same: `local_filesystem` is what there is.",
        set: |settings, _, text| {
            let words = [
                ("local_filesystem", ()),
                ("local", ()),
                ("rabbit_definitions_import_local_filesystem", ()),
            ];
            settings.definitions.is_local = true;
            value::one_of(text, &words)
        },
        ..KEY
    },
    Key {
        name: "definitions.local.path",
        example: "/etc/warren/definitions.json",
        about: "Where that has the definitions.",
        set: |settings, _, text| {
            settings.definitions.local_path = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "definitions.skip_if_unchanged",
        default: Some("false"),
        about: "Whether definitions are imported only if the files are others than those that \
                were imported last.",
        set: |settings, _, text| {
            settings.definitions.skip_if_unchanged = value::boolean(text)?;
            Ok(())
        },
        ..KEY
    },
];

fn is_json(text: &str) -> Result<bool, String> {
    value::one_of(text, &[("plaintext", false), ("json", true)])
}

fn level(text: &str) -> Result<LevelFilter, String> {
    value::one_of(text, &LEVELS)
}
