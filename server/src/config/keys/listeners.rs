//! Keys of listeners, TLS and connections.

use std::time::Duration;

use super::super::settings::{LoginFrom, SanType, TlsVersion};
use super::super::value;
use super::{KEY, Key};

/// Minutes, up to a year.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: u64 = value::integer(text, 1, 365 * 24 * 60)?;
    Ok(Duration::from_secs(60 * minutes))
}

pub(super) const LISTENERS: [Key; 5] = [
    Key {
        name: "listeners.tcp.$name",
        group: "listeners.tcp",
        example: "5672",
        about: "Where clients connect: a port, for all interfaces, or an IP address and a port. \
                May be given several times, under any names. Without a configuration file it is \
                127.0.0.1:5672; with one it is 5672, as in RabbitMQ.",
        set: |settings, _, text| {
            settings.tcp.named.push(value::listen_address(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "listeners.tcp",
        group: "listeners.tcp",
        example: "none",
        about: "With `none`, nobody can connect without TLS.",
        set: |settings, _, text| {
            settings.tcp.none = value::one_of(text, &[("none", true)])?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "listeners.ssl.$name",
        group: "listeners.ssl",
        example: "5671",
        about: "Where clients connect that speak TLS. Needs ssl_options.certfile and \
                ssl_options.keyfile.",
        set: |settings, _, text| {
            settings.ssl.named.push(value::listen_address(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "listeners.ssl",
        group: "listeners.ssl",
        example: "none",
        about: "With `none`, nobody can connect with TLS.",
        set: |settings, _, text| {
            settings.ssl.none = value::one_of(text, &[("none", true)])?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "proxy_protocol",
        default: Some("false"),
        about: "Whether each connection begins with a header of the PROXY protocol, version 1 or \
                2, by which a proxy says who connects. Who comes without one is not let in.",
        set: |settings, _, text| {
            settings.proxy_protocol = value::boolean(text)?;
            Ok(())
        },
        ..KEY
    },
];

pub(super) const MANAGEMENT: [Key; 13] = [
    Key {
        name: "management.tcp.port",
        alias: "management.listener.port",
        group: "management.tcp",
        default: None,
        example: "15672",
        about: "The port of the management API.",
        set: |settings, _, text| {
            settings.management.port = Some(value::integer(text, 0, u16::MAX)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.tcp.ip",
        alias: "management.listener.ip",
        group: "management.tcp",
        example: "127.0.0.1",
        about: "The IP address of the management API. Without a configuration file it is \
                127.0.0.1; with one it is on all interfaces, as in RabbitMQ.",
        set: |settings, _, text| {
            let ip = text.parse().map_err(|_| format!("`{text}` is not an IP address"))?;
            settings.management.ip = Some(ip);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.ssl.port",
        group: "management.ssl",
        example: "15671",
        about: "The port of the management API for those who speak TLS. Without \
                management.tcp.port there is no other then.",
        set: |settings, _, text| {
            settings.management.ssl_port = Some(value::integer(text, 0, u16::MAX)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.ssl.ip",
        group: "management.ssl",
        example: "127.0.0.1",
        about: "The IP address of that port: all interfaces, if nothing is said.",
        set: |settings, _, text| {
            let ip = text.parse().map_err(|_| format!("`{text}` is not an IP address"))?;
            settings.management.ssl_ip = Some(ip);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.ssl.certfile",
        example: "/etc/warren/tls/management.pem",
        about: "Its certificate. Without one, all that is said of TLS for other clients \
                (ssl_options) is for the management API too.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.management.tls.certfile = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.ssl.keyfile",
        example: "/etc/warren/tls/management.key",
        about: "The certificate's private key.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.management.tls.keyfile = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.ssl.cacertfile",
        example: "/etc/warren/tls/ca.pem",
        about: "Whose certificates of clients are trusted.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.management.tls.cacertfile = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.ssl.verify",
        default: Some("verify_none"),
        about: "With `verify_peer`, clients are asked for a certificate. Users log in with a \
                password all the same.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.management.tls.verify_peer = value::one_of(text, &VERIFY)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.ssl.fail_if_no_peer_cert",
        default: Some("false"),
        about: "With management.ssl.verify = verify_peer, whether who has no certificate is not \
                let in.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.management.tls.fail_if_no_peer_cert = value::boolean(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.ssl.versions.$version",
        group: "management.ssl.versions",
        example: "tlsv1.3",
        about: "A version that may be spoken: tlsv1.2 or tlsv1.3; both, unless one is named.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.management.tls.versions.push(value::one_of(text, &VERSIONS)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "management.login_session_timeout",
        default: Some("480"),
        about: "For how many minutes who signs in to the management page is signed in.",
        set: |settings, _, text| {
            settings.management.session_times.age_max = minutes(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "warren.login_idle_timeout",
        default: Some("3600000"),
        about: "After how many milliseconds in which the management page asked for nothing it is \
                to be signed in to anew. It asks every few seconds as long as it can be seen.",
        set: |settings, _, text| {
            settings.management.session_times.idle_max = value::milliseconds(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "warren.management",
        group: "management.tcp",
        example: "127.0.0.1:15672",
        about: "Where the management API is, over what management.tcp says: a port, for all \
                interfaces, or an IP address and a port, or `off`.",
        set: |settings, _, text| {
            settings.management.address = Some(match text {
                "off" | "none" => None,
                address => Some(value::listen_address(address)?),
            });
            Ok(())
        },
        ..KEY
    },
];

/// What may be said of clients' certificates.
pub(super) const VERIFY: [(&str, bool); 2] = [("verify_none", false), ("verify_peer", true)];

/// Versions of TLS.
pub(super) const VERSIONS: [(&str, TlsVersion); 2] =
    [("tlsv1.2", TlsVersion::V12), ("tlsv1.3", TlsVersion::V13)];

pub(super) const TLS: [Key; 11] = [
    Key {
        name: "ssl_options.certfile",
        example: "/etc/warren/tls/server.pem",
        about: "The broker's certificate, and behind it those between it and a root, as PEM. The \
                files of TLS are read again on SIGHUP; connections that are there stay.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.tls.certfile = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "ssl_options.keyfile",
        example: "/etc/warren/tls/server.key",
        about: "The certificate's private key, as PEM, not encrypted: only the broker's user \
                should be able to read it.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.tls.keyfile = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "ssl_options.cacertfile",
        example: "/etc/warren/tls/ca.pem",
        about: "Whose certificates of clients are trusted, as PEM.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.tls.cacertfile = Some(text.into());
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "ssl_options.verify",
        default: Some("verify_none"),
        about: "With `verify_peer`, clients are asked for a certificate, and one that they have \
                must be signed by one of ssl_options.cacertfile.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.tls.verify_peer = value::one_of(text, &VERIFY)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "ssl_options.fail_if_no_peer_cert",
        default: Some("false"),
        about: "With ssl_options.verify = verify_peer, whether who has no certificate is not let \
                in.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.tls.fail_if_no_peer_cert = value::boolean(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "ssl_options.versions.$version",
        group: "ssl_options.versions",
        example: "tlsv1.3",
        about: "A version that may be spoken: tlsv1.2 or tlsv1.3. Both, unless one is named; \
                older ones are not there.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.tls.versions.push(value::one_of(text, &VERSIONS)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "ssl_options.crl_check",
        default: Some("false"),
        about: "Whether certificates that were withdrawn are refused: `false` is all there is.",
        set: |_, _, text| value::one_of(text, &[("false", ())]),
        ..KEY
    },
    Key {
        name: "ssl_handshake_timeout",
        default: Some("5000"),
        about: "How many milliseconds a client may take for the handshake of TLS, or for the \
                header of the PROXY protocol.",
        set: |settings, _, text| {
            settings.tls.handshake_timeout = value::milliseconds(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "ssl_cert_login_from",
        default: Some("distinguished_name"),
        about: "What of a client's certificate is its user's name for the mechanism EXTERNAL: \
                distinguished_name, common_name or subject_alternative_name. Needs \
                ssl_options.verify = verify_peer.",
        is_reloaded: true,
        set: |settings, _, text| {
            let words = [
                ("distinguished_name", LoginFrom::Subject),
                ("common_name", LoginFrom::CommonName),
                ("subject_alternative_name", LoginFrom::Alternative),
                ("subject_alt_name", LoginFrom::Alternative),
            ];
            settings.tls.login_from = value::one_of(text, &words)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "ssl_cert_login_san_type",
        default: Some("dns"),
        about: "Which names subject_alternative_name means: dns, email or uri.",
        is_reloaded: true,
        set: |settings, _, text| {
            let words = [("dns", SanType::Dns), ("email", SanType::Email), ("uri", SanType::Uri)];
            settings.tls.san_type = value::one_of(text, &words)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "ssl_cert_login_san_index",
        default: Some("0"),
        about: "Which of these names, counted from 0.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.tls.san_index = value::integer(text, 0, 1000)?;
            Ok(())
        },
        ..KEY
    },
];

pub(super) const CONNECTIONS: [Key; 5] = [
    Key {
        name: "max_connections",
        alias: "connection_max",
        default: Some("infinity"),
        about: "How many clients may be connected at once, or `infinity`.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.core.node_limits.connections = value::count(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "heartbeat",
        default: Some("60"),
        about: "How many seconds without a sign of life clients are offered; what a client \
                answers counts. With 0, none.",
        set: |settings, _, text| {
            settings.core.heartbeat = Duration::from_secs(value::integer(text, 0, 65_535)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "handshake_timeout",
        default: Some("10000"),
        about: "How many milliseconds a client may take until its connection is open.",
        set: |settings, _, text| {
            settings.core.handshake_timeout = value::milliseconds(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "channel_max",
        alias: "max_channels_per_connection",
        default: Some("2047"),
        about: "How many channels a connection may have. With 0, any number.",
        set: |settings, _, text| {
            settings.core.channel_max = value::integer(text, 0, u16::MAX)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "frame_max",
        default: Some("131072"),
        about: "The largest frame, in bytes: 4096 and more. With 0, any length.",
        set: |settings, _, text| {
            let bytes = u32::try_from(value::bytes(text)?).ok();
            let bytes = bytes.filter(|bytes| *bytes == 0 || *bytes >= 4096);
            settings.core.frame_max =
                bytes.ok_or_else(|| format!("`{text}` is not 0, nor from 4096 to 4 GiB"))?;
            Ok(())
        },
        ..KEY
    },
];
