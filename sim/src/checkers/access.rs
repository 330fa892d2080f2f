//! Who is there, and what each may: the broker's account of it against the model's.

use std::collections::BTreeMap;

use warren_core::Broker;

use super::Failure;
use crate::model::Access;

const ID: &str = "access";

/// Checks virtual hosts, users, permissions and limits. Passwords show when somebody logs in.
///
/// # Errors
/// When something is missing, too much, or different.
pub fn check(broker: &Broker, access: &Access) -> Result<(), Failure> {
    let vhosts = broker.vhosts(None).map(|status| {
        let limits = status.vhost.limits;
        (status.vhost.name.to_string(), [limits.max_connections, limits.max_queues])
    });
    compare("virtual hosts", vhosts.collect(), &access.vhosts)?;
    let users = broker.users(None).map(|user| {
        let tags: Vec<String> = user.tags.iter().map(ToString::to_string).collect();
        let limits = [user.limits.max_connections, user.limits.max_channels];
        (user.name.to_string(), (tags, limits))
    });
    let known = access.users.iter();
    let known = known.map(|(name, user)| (name.clone(), (user.tags.clone(), user.limits)));
    compare("users", users.collect(), &known.collect())?;
    let permissions = broker.permissions(None).map(|set| {
        let permission = set.permission;
        let patterns = [permission.configure, permission.write, permission.read];
        ((set.vhost.to_string(), set.user.to_string()), patterns)
    });
    compare("permissions", permissions.collect(), &access.permissions)?;
    let topics = broker.topic_permissions(None).map(|set| {
        let key =
            (set.vhost.to_string(), set.user.to_string(), set.permission.exchange.to_string());
        (key, [set.permission.write, set.permission.read])
    });
    compare("topic permissions", topics.collect(), &access.topics)
}

fn compare<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    found: BTreeMap<K, V>,
    due: &BTreeMap<K, V>,
) -> Result<(), Failure> {
    match found == *due {
        true => Ok(()),
        false => Err(Failure::new(ID, format!("the {what} are {found:?}, due are {due:?}"))),
    }
}
