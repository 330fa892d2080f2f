//! Whole listings of the broker's, read a page at a time.

use std::collections::VecDeque;
use std::vec;

use warren_core::amqp::ShortStr;
use warren_core::broker::{Parameter, User, UserPermission, UserTopicPermission, VhostStatus};
use warren_core::listing::{
    BindingInfo, BindingsOf, ChannelInfo, ConnectionInfo, ConsumerInfo, ExchangeInfo, Page,
    QueueInfo, QueueNumbers, QueueView,
};
use warren_core::{Broker, ConnectionId, QueueName};
use warren_io::BrokerHandle;

use super::session::NAME_END;

/// How much is read at once. The broker does nothing else meanwhile.
const PAGE_LEN: usize = 500;

/// At how many queues is looked at once of which little is read: that takes no longer.
const LOOK_LEN: usize = 2000;

/// What a binding leads to or comes from, by its name.
#[derive(Clone, Debug)]
pub(crate) enum Bound {
    From(ShortStr),
    ToQueue(ShortStr),
    ToExchange(ShortStr),
}

/// All pages of a listing, one after the other.
async fn all<T: Send + 'static>(
    broker: &BrokerHandle,
    list: impl Fn(&Broker, u64, usize) -> Page<T> + Copy + Send + 'static,
) -> Vec<T> {
    let (mut items, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let page = broker.look(move |broker| list(broker, from, PAGE_LEN)).await;
        items.extend(page.items);
        next = page.next;
    }
    items
}

/// All virtual hosts.
pub(crate) async fn vhosts(broker: &BrokerHandle) -> Vec<VhostStatus> {
    behind(broker, |broker, after: Option<&VhostStatus>| {
        let after = after.map(|last| &last.vhost.name);
        broker.vhosts(after).take(PAGE_LEN).collect()
    })
    .await
}

/// All users.
pub(super) async fn users(broker: &BrokerHandle) -> Vec<User> {
    behind(broker, |broker, after: Option<&User>| {
        broker.users(after.map(|last| &last.name)).take(PAGE_LEN).cloned().collect()
    })
    .await
}

/// What all users may do.
pub(super) async fn permissions(broker: &BrokerHandle) -> Vec<UserPermission> {
    behind(broker, |broker, after: Option<&UserPermission>| {
        let after = after.map(|last| (last.vhost.clone(), last.user.clone()));
        broker.permissions(after.as_ref()).take(PAGE_LEN).collect()
    })
    .await
}

/// What all users may do at topic exchanges. There are few of them: they are read at once.
pub(super) async fn topic_permissions(broker: &BrokerHandle) -> Vec<UserTopicPermission> {
    broker.look(|broker| broker.topic_permissions(None).collect()).await
}

/// The parameters of a virtual host, or of the whole broker.
pub(super) async fn parameters(broker: &BrokerHandle, vhost: Option<&ShortStr>) -> Vec<Parameter> {
    let vhost = vhost.cloned();
    behind(broker, move |broker, after: Option<&Parameter>| {
        let after = after.map(|last| (last.component.clone(), last.name.clone()));
        broker.parameters(vhost.as_ref(), after.as_ref()).take(PAGE_LEN).collect()
    })
    .await
}

/// All of a listing of which each page begins behind the last of the one before.
async fn behind<T: Clone + Send + 'static>(
    broker: &BrokerHandle,
    list: impl Fn(&Broker, Option<&T>) -> Vec<T> + Clone + Send + 'static,
) -> Vec<T> {
    let mut items: Vec<T> = Vec::new();
    loop {
        let (list, after) = (list.clone(), items.last().cloned());
        let page = broker.look(move |broker| list(broker, after.as_ref())).await;
        let is_last = page.len() < PAGE_LEN;
        items.extend(page);
        if is_last {
            return items;
        }
    }
}

/// The queues of all virtual hosts.
pub(crate) async fn queues(broker: &BrokerHandle) -> Vec<QueueInfo> {
    all(broker, Broker::list_queues).await
}

/// What `look` finds out about each queue of all virtual hosts. It is to be little, as there may be
/// very many of them.
pub(super) async fn look_at_queues<T: Send + 'static>(
    broker: &BrokerHandle,
    look: impl Fn(&QueueView<'_>) -> T + Copy + Send + 'static,
) -> Vec<T> {
    let (mut found, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let page = broker.look(move |broker| broker.look_at_queues(from, LOOK_LEN, look)).await;
        found.extend(page.items);
        next = page.next;
    }
    found
}

/// What this makes of each queue; no more of it is kept.
pub(super) async fn of_queues<T>(
    broker: &BrokerHandle,
    mut make: impl FnMut(QueueInfo) -> Option<T>,
) -> Vec<T> {
    let (mut made, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let page = broker.look(move |broker| broker.list_queues(from, PAGE_LEN)).await;
        made.extend(page.items.into_iter().filter_map(&mut make));
        next = page.next;
    }
    made
}

/// What these queues are and hold, as far as they are there; no more of them than a page has.
pub(super) async fn queues_named(broker: &BrokerHandle, names: Vec<QueueName>) -> Vec<QueueInfo> {
    let info = |broker: &Broker, one: &QueueName| broker.queue_info(&one.vhost, &one.name);
    broker.look(move |broker| names.iter().filter_map(|one| info(broker, one)).collect()).await
}

/// What these queues hold, by their keys, as far as they are there.
pub(super) async fn queue_numbers(broker: &BrokerHandle, keys: &[u64]) -> Vec<QueueNumbers> {
    let mut numbers = Vec::new();
    for keys in keys.chunks(PAGE_LEN) {
        let keys = keys.to_vec();
        numbers.extend(broker.look(move |broker| broker.queue_numbers(&keys)).await);
    }
    numbers
}

/// The connections of clients.
pub(crate) async fn connections(broker: &BrokerHandle) -> Vec<ConnectionInfo> {
    let mut connections = all(broker, Broker::list_connections).await;
    connections.retain(|connection| !connection.name.ends_with(NAME_END));
    connections
}

/// The channels of clients.
pub(crate) async fn channels(broker: &BrokerHandle) -> Vec<ChannelInfo> {
    let mut channels = all(broker, Broker::list_channels).await;
    channels.retain(|channel| !channel.connection_name.ends_with(NAME_END));
    channels
}

/// The channels of a connection.
pub(super) async fn channels_of(broker: &BrokerHandle, id: ConnectionId) -> Vec<ChannelInfo> {
    broker.look(move |broker| broker.channels_of(id)).await
}

/// All consumers.
pub(super) async fn consumers(broker: &BrokerHandle) -> Vec<ConsumerInfo> {
    all(broker, Broker::list_consumers).await
}

/// The exchanges of some virtual hosts, one after the other, each in the order of names.
pub(super) struct Exchanges {
    broker: BrokerHandle,
    vhosts: vec::IntoIter<ShortStr>,
    /// The virtual host that is being read, and the last exchange that was.
    place: Option<(ShortStr, Option<ShortStr>)>,
}

impl Exchanges {
    pub(super) fn new(broker: &BrokerHandle, mut vhosts: Vec<ShortStr>) -> Self {
        vhosts.sort_unstable();
        Self { broker: broker.clone(), vhosts: vhosts.into_iter(), place: None }
    }

    /// Some more of them.
    pub(super) async fn next(&mut self) -> Option<Vec<ExchangeInfo>> {
        loop {
            let (vhost, after) = match self.place.take() {
                Some(place) => place,
                None => (self.vhosts.next()?, None),
            };
            let host = vhost.clone();
            let list =
                move |broker: &Broker| broker.list_exchanges(&host, after.as_ref(), PAGE_LEN);
            let page = self.broker.look(list).await;
            if page.len() == PAGE_LEN {
                self.place = page.last().map(|last| (vhost, Some(last.name.clone())));
            }
            if !page.is_empty() {
                return Some(page);
            }
        }
    }
}

/// The bindings from the exchanges of some virtual hosts, one exchange after the other; not those
/// from the default exchange.
pub(super) struct Bindings {
    exchanges: Exchanges,
    /// Exchanges whose bindings are to be read, and the last binding of the first that was.
    pending: VecDeque<(ShortStr, ShortStr)>,
    after: Option<BindingInfo>,
}

impl Bindings {
    pub(super) fn new(broker: &BrokerHandle, vhosts: Vec<ShortStr>) -> Self {
        let exchanges = Exchanges::new(broker, vhosts);
        Self { exchanges, pending: VecDeque::new(), after: None }
    }

    /// Some more of them, all of one virtual host and exchange. The default exchange has none.
    pub(super) async fn next(&mut self) -> Option<(ShortStr, ShortStr, Vec<BindingInfo>)> {
        if self.pending.is_empty() {
            let some = self.exchanges.next().await?.into_iter();
            self.pending.extend(some.map(|exchange| (exchange.vhost, exchange.name)));
        }
        let (vhost, source) = self.pending.pop_front()?;
        let (host, name, after) = (vhost.clone(), source.clone(), self.after.take());
        let list = move |broker: &Broker| {
            broker.list_bindings(&host, BindingsOf::Source(&name), after.as_ref(), PAGE_LEN)
        };
        let page = self.exchanges.broker.look(list).await;
        if page.len() == PAGE_LEN {
            self.after = page.last().cloned();
            self.pending.push_front((vhost.clone(), source.clone()));
        }
        Some((vhost, source, page))
    }
}

/// The exchanges of a virtual host.
pub(crate) async fn exchanges(broker: &BrokerHandle, vhost: &ShortStr) -> Vec<ExchangeInfo> {
    let mut items: Vec<ExchangeInfo> = Vec::new();
    loop {
        let (vhost, after) = (vhost.clone(), items.last().map(|last| last.name.clone()));
        let list = move |broker: &Broker| broker.list_exchanges(&vhost, after.as_ref(), PAGE_LEN);
        let page = broker.look(list).await;
        let is_last = page.len() < PAGE_LEN;
        items.extend(page);
        if is_last {
            return items;
        }
    }
}

/// The bindings of an exchange or a queue; not those to the default exchange.
pub(crate) async fn bindings(
    broker: &BrokerHandle,
    vhost: &ShortStr,
    of: &Bound,
) -> Vec<BindingInfo> {
    let mut items: Vec<BindingInfo> = Vec::new();
    loop {
        let (vhost, of, after) = (vhost.clone(), of.clone(), items.last().cloned());
        let list = move |broker: &Broker| {
            let of = match &of {
                Bound::From(name) => BindingsOf::Source(name),
                Bound::ToQueue(name) => BindingsOf::Queue(name),
                Bound::ToExchange(name) => BindingsOf::Exchange(name),
            };
            broker.list_bindings(&vhost, of, after.as_ref(), PAGE_LEN)
        };
        let page = broker.look(list).await;
        let is_last = page.len() < PAGE_LEN;
        items.extend(page);
        if is_last {
            return items;
        }
    }
}
