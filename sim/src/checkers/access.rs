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
    // It is looked at all the time, and is mostly the same, in the same order.
    if is_same(broker, access) { Ok(()) } else { find_difference(broker, access) }
}

/// Whether both have the same in the same order.
fn is_same(broker: &Broker, access: &Access) -> bool {
    let vhosts = pairwise(broker.vhosts(None), &access.vhosts, |found, (name, limits)| {
        let known = found.vhost.limits;
        found.vhost.name == **name && [known.max_connections, known.max_queues] == *limits
    });
    let users = pairwise(broker.users(None), &access.users, |found, (name, user)| {
        found.name == **name
            && [found.limits.max_connections, found.limits.max_channels] == user.limits
            && pairwise(&found.tags, &user.tags, |found, tag| *found == **tag)
    });
    let permissions =
        pairwise(broker.permissions(None), &access.permissions, |found, ((vhost, user), due)| {
            let known = &found.permission;
            found.vhost == **vhost
                && found.user == **user
                && [&known.configure, &known.write, &known.read] == due.each_ref()
        });
    let topics = pairwise(
        broker.topic_permissions(None),
        &access.topics,
        |found, ((vhost, user, x), due)| {
            let known = &found.permission;
            (found.vhost == **vhost && found.user == **user && known.exchange == **x)
                && [&known.write, &known.read] == due.each_ref()
        },
    );
    vhosts && users && permissions && topics
}

/// Whether there are as many of the one as of the other, and each is as the other in its place.
fn pairwise<A, B>(
    found: impl IntoIterator<Item = A>,
    due: impl IntoIterator<Item = B>,
    is_as: impl Fn(A, B) -> bool,
) -> bool {
    let mut due = due.into_iter();
    let is_found = found.into_iter().all(|found| due.next().is_some_and(|due| is_as(found, due)));
    is_found && due.next().is_none()
}

/// What is different, whatever the order.
fn find_difference(broker: &Broker, access: &Access) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use warren_core::{Boot, Config};

    use super::*;
    use crate::model::Model;
    use crate::plan::Setup;

    #[test]
    fn what_is_missing_too_much_different_or_elsewhere_is_not_the_same() {
        let same = |found: &[u8], due: &[u8]| pairwise(found, due, |found, due| found == due);
        assert!(same(&[], &[]));
        assert!(same(&[1, 2], &[1, 2]));
        assert!(!same(&[1], &[1, 2]));
        assert!(!same(&[1, 2], &[1]));
        assert!(!same(&[1, 3], &[1, 2]));
        assert!(!same(&[2, 1], &[1, 2]));
    }

    #[test]
    fn any_difference_fails() {
        let broker = Broker::new(Config::default(), Boot { seed: [1, 2], clock_origin_ms: 0 });
        let access = Model::new(&Setup::default()).access;
        assert!(is_same(&broker, &access));
        assert_eq!(check(&broker, &access), Ok(()));
        let changes: [fn(&mut Access); 9] = [
            |access| access.vhosts.clear(),
            |access| access.vhosts.extend([("v".into(), [None; 2])]),
            |access| access.vhosts.values_mut().for_each(|limits| limits[0] = Some(1)),
            |access| access.users.clear(),
            |access| access.users.values_mut().for_each(|user| user.tags.clear()),
            |access| access.users.values_mut().for_each(|user| user.limits[1] = Some(1)),
            |access| access.permissions.clear(),
            |access| access.permissions.values_mut().for_each(|all| all[2].clear()),
            |access| {
                let key = ["/", "guest", "x1"].map(String::from).into();
                access.topics.extend([(key, [".*", ".*"].map(String::from))]);
            },
        ];
        for change in changes {
            let mut changed = access.clone();
            change(&mut changed);
            assert!(check(&broker, &changed).is_err(), "{changed:?}");
        }
    }
}
