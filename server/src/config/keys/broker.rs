//! Keys of users, memory, disk and queues.

use regex_lite::Regex;
use warren_core::amqp::{Mechanism, ShortStr};
use warren_core::broker::HashAlgorithm;

use super::super::settings::{DiskFreeMin, Settings};
use super::super::value;
use super::{KEY, Key};
use crate::credentials::Validator;
use crate::size::Size;

pub(super) const USERS: [Key; 19] = [
    Key {
        name: "default_user",
        default: Some("guest"),
        about: "The user that a broker has that begins with an empty data directory.",
        set: |settings, _, text| {
            settings.first_user.name = named(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_pass",
        default: Some("guest"),
        about: "This user's password. Better from the environment, or from a file: $(<FILE).",
        is_secret: true,
        set: |settings, _, text| {
            settings.first_user.password = value::secret(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_vhost",
        default: Some("/"),
        about: "The virtual host that such a broker has.",
        set: |settings, _, text| {
            settings.first_user.vhost = named(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "default_permissions.configure",
        default: Some(".*"),
        about: "A pattern: what the user may declare and delete there.",
        set: |settings, _, text| permission(settings, 0, text),
        ..KEY
    },
    Key {
        name: "default_permissions.write",
        default: Some(".*"),
        about: "A pattern: where the user may publish.",
        set: |settings, _, text| permission(settings, 1, text),
        ..KEY
    },
    Key {
        name: "default_permissions.read",
        default: Some(".*"),
        about: "A pattern: what the user may consume.",
        set: |settings, _, text| permission(settings, 2, text),
        ..KEY
    },
    Key {
        name: "default_user_tags.$tag",
        group: "default_user_tags",
        example: "true",
        about: "Whether the user has this tag. It has `administrator` where nothing is said.",
        set: |settings, tag, text| {
            let is_set = value::boolean(text)?;
            let tags = settings.first_user.tags.get_or_insert_default();
            tags.extend(is_set.then(|| tag.to_owned()));
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "loopback_users.$user",
        group: "loopback_users",
        example: "true",
        about: "Whether this user may connect from this machine only. That is so for `guest`, \
                unless it is said that it is not.",
        set: |settings, user, text| {
            settings.loopback_users.insert(user.to_owned(), value::boolean(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "loopback_users",
        group: "loopback_users",
        example: "none",
        about: "With `none`, every user may connect from anywhere.",
        set: |settings, _, text| {
            settings.no_loopback_users = value::one_of(text, &[("none", true)])?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "auth_mechanisms.$number",
        group: "auth_mechanisms",
        example: "PLAIN",
        about: "A mechanism by which clients may log in: PLAIN, AMQPLAIN, ANONYMOUS, or EXTERNAL, \
                by certificate, which is offered to those who have one. All of them, unless one \
                is named; then those that are, in that order. The management API is for names and \
                passwords in any case.",
        set: |settings, _, text| {
            let mechanism = value::one_of(text, &Mechanism::ALL.map(|own| (own.name(), own)))?;
            settings.mechanisms.push(mechanism);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "anonymous_login_user",
        default: Some("guest"),
        about: "Who ANONYMOUS is: `guest`, for as long as that user's password is `guest`, or \
                `none`, who cannot log in.",
        set: |settings, _, text| {
            settings.is_anonymous_refused =
                value::one_of(text, &[("guest", false), ("none", true)])?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "anonymous_login_pass",
        default: Some("guest"),
        about: "The password of that user: `guest` is all there is.",
        set: |_, _, text| value::one_of(text, &[("guest", ())]),
        ..KEY
    },
    Key {
        name: "password_hashing_module",
        default: Some("rabbit_password_hashing_sha256"),
        about: "How new passwords are hashed: rabbit_password_hashing_sha256, \
                rabbit_password_hashing_sha512, or warren_password_hashing_argon2id, of which each \
                login takes tens of milliseconds, and which RabbitMQ cannot read. Hashes that are \
                there stay.",
        set: |settings, _, text| {
            settings.passwords.algorithm =
                value::one_of(text, &HashAlgorithm::ALL.map(|own| (own.name(), own)))?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "credential_validator.validation_backend",
        example: "rabbit_credential_validator_min_password_length",
        about: "What new passwords must be like: rabbit_credential_validator_accept_everything, \
                which counts if nothing is said, \
                rabbit_credential_validator_min_password_length, or \
                rabbit_credential_validator_password_regexp.",
        set: |settings, _, text| {
            let words = [
                ("rabbit_credential_validator_accept_everything", Validator::None),
                ("rabbit_credential_validator_min_password_length", Validator::Length),
                ("rabbit_credential_validator_password_regexp", Validator::Pattern),
            ];
            settings.passwords.validator = value::one_of(text, &words)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "credential_validator.min_length",
        example: "8",
        about: "How many bytes such a password has at least.",
        set: |settings, _, text| {
            settings.passwords.min_length = Some(value::integer(text, 1, 1024)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "credential_validator.regexp",
        example: "^[a-zA-Z0-9]{12,}$",
        about: "The regular expression that such a password matches.",
        set: |settings, _, text| {
            let pattern = Regex::new(text).map_err(|error| format!("`{text}`: {error}"))?;
            settings.passwords.pattern = Some(pattern);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "auth_backends.$number",
        group: "auth_backends",
        example: "internal",
        about: "Who knows the users: `internal`, the broker itself; there is nothing else yet.",
        set: |_, _, text| value::one_of(text, &BACKENDS),
        ..KEY
    },
    Key {
        name: "auth_backends.$number.authn",
        group: "auth_backends",
        example: "internal",
        about: "Who knows their passwords: the same.",
        set: |_, _, text| value::one_of(text, &BACKENDS),
        ..KEY
    },
    Key {
        name: "auth_backends.$number.authz",
        group: "auth_backends",
        example: "internal",
        about: "Who knows their permissions: the same.",
        set: |_, _, text| value::one_of(text, &BACKENDS),
        ..KEY
    },
];

/// Who knows users.
const BACKENDS: [(&str, ()); 2] = [("internal", ()), ("rabbit_auth_backend_internal", ())];

pub(super) const MEMORY_AND_DISK: [Key; 7] = [
    Key {
        name: "vm_memory_high_watermark.relative",
        group: "vm_memory_high_watermark",
        default: Some("0.4"),
        about: "How much memory the broker may use, of what the machine, or the container, has. \
                When it has taken that much, publishers wait.",
        is_reloaded: true,
        set: |settings, _, text| {
            let factor = value::factor(text, 1.0)?;
            // The rounding keeps 0.4 from being 40.00000000000001 %.
            settings.memory = Size::Percent((factor * 1e6).round() / 1e4);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "vm_memory_high_watermark.absolute",
        group: "vm_memory_high_watermark",
        example: "2GiB",
        about: "The same as an amount, such as 512MiB or 2GB.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.memory = value::size(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "total_memory_available_override_value",
        example: "8GiB",
        about: "How much memory there is, where the machine does not say it as it is.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.memory_total = Some(value::size(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "disk_free_limit.absolute",
        group: "disk_free_limit",
        default: Some("256MiB"),
        about: "How much space must be left on the disk: an amount, or a part of the disk, such \
                as 5%. With less, publishers wait.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.disk_free_min = DiskFreeMin::OfDisk(value::size(text)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "disk_free_limit.relative",
        group: "disk_free_limit",
        example: "1.0",
        about: "The same as so many times as there is memory.",
        is_reloaded: true,
        set: |settings, _, text| {
            settings.disk_free_min = DiskFreeMin::TimesMemory(value::factor(text, 1000.0)?);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "warren.segment_size",
        default: Some("32MiB"),
        about: "The length of a segment of the log, the unit in which space is given back.",
        set: |settings, _, text| {
            settings.segment_size = value::size(text)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "warren.queue_window",
        example: "8MiB",
        about: "How much of each queue that is on disk is kept in memory too: a sixteenth of what \
                the broker may use, and 8MiB at the most, where nothing is said.",
        set: |settings, _, text| {
            settings.queue_window = Some(value::size(text)?);
            Ok(())
        },
        ..KEY
    },
];

pub(super) const QUEUES: [Key; 3] = [
    Key {
        name: "default_queue_type",
        default: Some("classic"),
        about: "The type of a queue where neither its declaration nor its virtual host says it, \
                and that can be of it: classic or quorum.",
        set: |settings, _, text| {
            let words = [
                ("classic", None),
                ("rabbit_classic_queue", None),
                ("quorum", Some("quorum")),
                ("rabbit_quorum_queue", Some("quorum")),
            ];
            settings.core.default_queue_type =
                value::one_of(text, &words)?.map(ShortStr::from_static);
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "max_message_size",
        default: Some("16777216"),
        about: "The largest message, in bytes.",
        set: |settings, _, text| {
            settings.core.message_size_max = value::integer(text, 1, 512 << 20)?;
            Ok(())
        },
        ..KEY
    },
    Key {
        name: "consumer_timeout",
        example: "1800000",
        about: "How many milliseconds a delivery may wait for its acknowledgement, where neither \
                its consumer nor its queue says so (x-consumer-timeout): for ever, if nothing is \
                said.",
        set: |settings, _, text| {
            settings.core.consumer_timeout = match text {
                "infinity" => None,
                _ => Some(value::milliseconds(text)?),
            };
            Ok(())
        },
        ..KEY
    },
];

/// A name that clients and logs are told.
fn named(text: &str) -> Result<String, String> {
    match text.len() {
        1..=255 => Ok(text.to_owned()),
        len => Err(format!("a name has 1 to 255 bytes, and this has {len}")),
    }
}

fn permission(settings: &mut Settings, index: usize, text: &str) -> Result<(), String> {
    settings.first_user.permissions[index] = text.to_owned();
    Ok(())
}
