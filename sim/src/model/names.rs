//! Names of queues and exchanges over all virtual hosts.
//!
//! The model keeps all there is together, so a name there says in which virtual host it is: in `/`
//! a name is itself, elsewhere it has the virtual host's name in front. Clients and the broker say
//! names as they are within one: what they say is qualified on its way into the model, and held
//! against the local part of what the model has.

use std::borrow::Cow;

use crate::wire::Method;

/// The virtual host whose names are themselves.
pub const ROOT: &str = "/";

/// Stands between a virtual host and a name; no plan has it in either.
const BETWEEN: char = '›';

/// What begins the names of who waits for direct replies, in whichever virtual host.
const REPLIES: &str = "amq.rabbitmq.reply-to";

/// The name of something in a virtual host. The default exchange is in all of them, and has none.
#[must_use]
pub fn qualified<'a>(vhost: &str, name: &'a str) -> Cow<'a, str> {
    match vhost {
        "" | ROOT => Cow::Borrowed(name),
        _ if name.is_empty() || name.starts_with(REPLIES) => Cow::Borrowed(name),
        vhost => Cow::Owned(format!("{vhost}{BETWEEN}{name}")),
    }
}

/// The virtual host that a name is in.
#[must_use]
pub fn vhost_of(name: &str) -> &str {
    name.split_once(BETWEEN).map_or(ROOT, |(vhost, _)| vhost)
}

/// A name as those say it who are in its virtual host.
#[must_use]
pub fn local(name: &str) -> &str {
    name.split_once(BETWEEN).map_or(name, |(_, local)| local)
}

/// What a name is of, in RabbitMQ's words.
pub(super) fn resource(kind: &str, name: &str) -> String {
    format!("{kind} '{}' in vhost '{}'", local(name), vhost_of(name))
}

/// Whether a name is one that the broker chose.
#[must_use]
pub(super) fn is_made(name: &str) -> bool {
    local(name).starts_with("amq.gen-")
}

/// What a client in a virtual host says, with qualified names.
pub(super) fn qualify(vhost: &str, method: Method) -> Method {
    let fields: &[&str] = match method.name() {
        "queue.declare" | "queue.delete" | "queue.purge" | "basic.consume" | "basic.get" => {
            &["queue"]
        }
        "queue.bind" | "queue.unbind" => &["queue", "exchange"],
        "exchange.declare" | "exchange.delete" | "basic.publish" => &["exchange"],
        "exchange.bind" | "exchange.unbind" => &["destination", "source"],
        _ => &[],
    };
    fields.iter().fold(method, |method, field| {
        let name = qualified(vhost, method.text(field)).into_owned();
        method.with_text(field, &name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_its_virtual_host_and_itself() {
        for (vhost, name) in [("/", "q1"), ("v1", "q1"), ("v1", "amq.direct")] {
            let whole = qualified(vhost, name);
            assert_eq!((vhost_of(&whole), local(&whole)), (vhost, name));
        }
        assert_eq!(qualified("/", "q1"), "q1");
        assert_eq!(qualified("v1", ""), "", "the default exchange");
    }

    #[test]
    fn a_client_names_what_is_in_its_virtual_host() {
        let bind = Method::new("queue.bind").with_text("queue", "q1").with_text("exchange", "x1");
        let bind = qualify("v1", bind.with_text("routing-key", "a"));
        let said = ["queue", "exchange", "routing-key"].map(|field| local(bind.text(field)));
        assert_eq!(said, ["q1", "x1", "a"]);
        assert_eq!(vhost_of(bind.text("queue")), "v1");
    }
}
