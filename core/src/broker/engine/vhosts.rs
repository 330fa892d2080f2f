//! Virtual hosts come and go.
//!
//! One that is deleted is gone at once for all who ask for it by name, and for the log, in a single
//! fact. Its clients are told to go. Its queues are let go in slices, as there may be many; what
//! else there is to do has its turn in between, and nothing happens in them any more.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use super::super::access::{VhostLimits, VhostMetadata, VhostStatus, VirtualHost, behind};
use super::super::exchange::{Exchange, ExchangeDeclaration, ExchangeKind};
use super::super::policies::Policies;
use super::super::queue::{QueueDeclaration, QueueId};
use super::super::refusal::Refusal;
use super::commands::Eviction;
use super::{Engine, Vhost, VhostId};
use crate::amqp::{FieldTable, FieldValue, ShortStr};
use crate::hash;
use crate::log::Fact;
use crate::{Done, Mark};

/// A virtual host that is deleted and not empty yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emptying {
    pub(super) vhost: VhostId,
    /// The slot of the queue that is next.
    queue: u32,
}

/// The exchanges that each virtual host has: name, type, and whether it is internal.
const PREDECLARED: [(&str, ExchangeKind, bool); 7] = [
    ("", ExchangeKind::Direct, false),
    ("amq.direct", ExchangeKind::Direct, false),
    ("amq.fanout", ExchangeKind::Fanout, false),
    ("amq.topic", ExchangeKind::Topic, false),
    ("amq.headers", ExchangeKind::Headers, false),
    ("amq.match", ExchangeKind::Headers, false),
    ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
];

impl Vhost {
    /// As it is kept.
    pub(super) fn record(&self) -> VirtualHost {
        let (metadata, limits) = (self.metadata.clone(), self.limits);
        VirtualHost { name: self.name.clone(), metadata, limits }
    }
}

impl Engine {
    /// The virtual host called `name`.
    pub(crate) fn vhost(&self, name: &ShortStr) -> Option<VhostId> {
        self.vhost_names.get(name).copied()
    }

    /// What a virtual host is called.
    pub(crate) fn vhost_name(&self, vhost: VhostId) -> &ShortStr {
        &self.host(vhost).name
    }

    /// All virtual hosts but one that is being deleted, in the order in which they were made.
    pub(super) fn living_vhosts(&self) -> impl Iterator<Item = &Vhost> {
        let living = self.vhosts.iter().filter(|(id, _)| !self.is_emptying(**id));
        living.map(|(_, host)| host)
    }

    /// The virtual hosts, or those behind this one, by their names.
    pub(crate) fn vhost_statuses(
        &self,
        after: Option<&ShortStr>,
    ) -> impl Iterator<Item = VhostStatus> {
        behind(&self.vhost_names, after).map(|(_, id)| {
            let host = self.host(*id);
            VhostStatus {
                vhost: host.record(),
                connections: host.connections,
                queues: host.queues.len() as u64,
            }
        })
    }

    /// Makes a virtual host with its predeclared exchanges.
    pub(super) fn add_vhost(&mut self, VirtualHost { name, metadata, limits }: VirtualHost) {
        let mut exchanges = hash::map(self.hash_seed);
        let mut durable_exchanges = BTreeSet::new();
        for (name, kind, internal) in PREDECLARED {
            let declaration = ExchangeDeclaration {
                name: ShortStr::from_static(name),
                kind: ShortStr::from_static(kind.name()),
                durable: true,
                auto_delete: false,
                internal,
                arguments: FieldTable::default(),
            };
            let exchange = Exchange::new(&declaration, self.hash_seed).expect("a known type");
            durable_exchanges.insert(declaration.name.clone());
            exchanges.insert(declaration.name, exchange);
        }
        let id = self.next_vhost;
        self.next_vhost = VhostId(id.0 + 1);
        self.vhost_names.insert(name.clone(), id);
        let host = Vhost {
            name,
            metadata,
            limits,
            connections: 0,
            parameters: BTreeMap::new(),
            exchanges,
            exchange_names: durable_exchanges.clone(),
            durable_exchanges,
            queues: hash::map(self.hash_seed),
            policies: Policies::default(),
            delays: None,
        };
        self.vhosts.insert(id, host);
    }

    pub(super) fn set_vhost(
        &mut self,
        name: &ShortStr,
        metadata: VhostMetadata,
    ) -> Result<Done, Refusal> {
        check_metadata(name, &metadata)?;
        let Some(id) = self.vhost(name) else {
            let most = self.node_limits.vhosts;
            if let Some(limit) = most.filter(|most| self.vhost_names.len() >= *most as usize) {
                return Err(Refusal::precondition(format!(
                    "cannot create vhost '{name}': vhost limit of {limit} is reached"
                )));
            }
            let limits = VhostLimits::default();
            let record = VirtualHost { name: name.detached(), metadata, limits };
            self.log.note_topology(Fact::VhostSet(record.clone()));
            self.add_vhost(record);
            return Ok(Done::Created);
        };
        if self.host(id).metadata != metadata {
            self.host_mut(id).metadata = metadata;
            self.note_vhost(id);
        }
        Ok(Done::Updated)
    }

    pub(super) fn set_vhost_limits(
        &mut self,
        name: &ShortStr,
        limits: VhostLimits,
    ) -> Result<Done, Refusal> {
        let id = self.vhost_named(name)?;
        if self.host(id).limits != limits {
            self.host_mut(id).limits = limits;
            self.note_vhost(id);
        }
        Ok(Done::Updated)
    }

    fn note_vhost(&mut self, id: VhostId) {
        let record = self.host(id).record();
        self.log.note_topology(Fact::VhostSet(record));
    }

    pub(super) fn delete_vhost(&mut self, name: &ShortStr) -> Result<Done, Refusal> {
        let id = self.vhost_named(name)?;
        if self.host(id).metadata.protected {
            return Err(Refusal::precondition(format!(
                "Refusing to delete virtual host '{name}' because it is protected from deletion"
            )));
        }
        let name = self.host(id).name.clone();
        self.log.note_topology(Fact::VhostDeleted(name.clone()));
        self.vhost_names.remove(&name);
        self.directory.forget_vhost(&name);
        self.topology_version += 1;
        self.emptying = Some(Emptying { vhost: id, queue: 0 });
        self.evictions.push(Eviction::Vhost(id, name));
        self.mark(Mark::VhostDeleted);
        Ok(Done::Deleted)
    }

    /// Whether something is left of a virtual host that is deleted.
    pub(crate) fn is_emptying_vhost(&self) -> bool {
        self.emptying.is_some()
    }

    /// Lets go of some more of what is in a virtual host that is deleted. Whether that was all.
    pub(super) fn empty_on(&mut self) -> bool {
        let Some(Emptying { vhost, queue: next }) = self.emptying else { return true };
        let most = self.limits.policy_slice;
        let slice: Vec<(QueueId, bool)> = self
            .queues
            .iter_from(next)
            .take(most)
            // Lanes go with their head.
            .map(|(id, queue)| (id, queue.vhost == vhost && queue.as_lane().is_none()))
            .collect();
        for (id, is_going) in &slice {
            if *is_going {
                self.drop_queue(*id);
            }
        }
        if slice.len() == most
            && let Some((last, _)) = slice.last()
        {
            self.mark(Mark::VhostEmptiedInSlices);
            self.emptying = Some(Emptying { vhost, queue: last.index + 1 });
            return false;
        }
        self.vhosts.remove(&vhost);
        self.emptying = None;
        true
    }

    /// The virtual hosts that the start made.
    pub(crate) fn made_vhosts(&self) -> &[ShortStr] {
        &self.made_vhosts
    }

    /// A declaration with the type that its virtual host has for queues that do not say, if it can
    /// be of that.
    pub(super) fn with_default_type(
        &self,
        vhost: VhostId,
        declaration: &QueueDeclaration,
    ) -> Option<QueueDeclaration> {
        const TYPE: &str = "x-queue-type";
        let own = self.host(vhost).metadata.default_queue_type.as_ref();
        let default = own.or(self.limits.default_queue_type.as_ref())?;
        let QueueDeclaration { durable, exclusive, auto_delete, arguments, .. } = declaration;
        let is_possible = *durable && !exclusive && !auto_delete;
        if *default != "quorum" || !is_possible || arguments.find(TYPE).is_some() {
            return None;
        }
        let mut declaration = declaration.clone();
        declaration.arguments.push(TYPE.into(), FieldValue::text("quorum"));
        Some(declaration)
    }

    /// # Errors
    /// When a virtual host, or the node, has as many queues as it may.
    pub(super) fn check_queue_limit(
        &self,
        vhost: VhostId,
        queue: &ShortStr,
    ) -> Result<(), Refusal> {
        let most = self.node_limits.queues;
        if let Some(limit) = most.filter(|most| self.queues_len() >= *most as usize) {
            return Err(Refusal::precondition(format!(
                "cannot declare queue '{queue}': queue limit in cluster ({limit}) is reached"
            )));
        }
        let host = self.host(vhost);
        match host.limits.max_queues {
            Some(limit) if host.queues.len() as u64 >= limit => {
                self.mark(Mark::QueueLimitReached);
                Err(Refusal::precondition(format!(
                    "cannot declare queue '{queue}': queue limit in vhost '{}' ({limit}) is reached",
                    host.name
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Engine {
    /// # Errors
    /// When the node has as many exchanges as it may.
    pub(super) fn check_exchange_limit(
        &self,
        vhost: VhostId,
        exchange: &ShortStr,
    ) -> Result<(), Refusal> {
        let Some(limit) = self.node_limits.exchanges else { return Ok(()) };
        let count: usize = self.vhosts.values().map(|host| host.exchanges.len()).sum();
        if count < limit as usize {
            return Ok(());
        }
        let host = self.vhost_name(vhost);
        Err(Refusal::precondition(format!(
            "cannot declare exchange '{exchange}' in vhost '{host}': exchange limit of {limit} is \
             reached"
        )))
    }
}

fn check_metadata(name: &ShortStr, metadata: &VhostMetadata) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::precondition("a virtual host needs a name"));
    }
    match &metadata.default_queue_type {
        Some(kind) if *kind != "classic" && *kind != "quorum" => {
            Err(Refusal::precondition(format!("Unsupported default queue type '{kind}'")))
        }
        _ => Ok(()),
    }
}
