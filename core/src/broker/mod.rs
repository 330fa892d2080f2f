//! The engine: exchanges, bindings, queues, messages, consumers.
//!
//! It knows nothing of frames and channels: a front end opens sessions, publishes and consumes
//! through them, and keeps the leases of what was handed out. Protocol 0-9-1 ([`crate::amqp`]) is
//! the first front end; others can stand beside it.

mod access;
mod arguments;
mod binding;
mod choosing;
mod consumer;
mod death;
mod deduplication;
mod delay;
mod dying;
mod engine;
mod exchange;
mod headers;
mod kept_letters;
mod keys;
mod lanes;
mod message;
mod message_pool;
mod pattern;
mod policies;
mod policy;
mod queue;
mod ranges;
mod reader;
mod ready;
mod recent_history;
mod refusal;
mod rendezvous;
mod settings;
mod single_active;
mod tally;
mod topic;
mod turns;
mod weight;

pub use access::{
    HashAlgorithm, Parameter, Password, PasswordHash, Permission, Right, Rules, TopicPermission,
    TopicRules, User, UserChange, UserLimits, UserPermission, UserTopicPermission, VhostLimits,
    VhostMetadata, VhostStatus, VirtualHost,
};
pub(crate) use arguments::{EXPIRATION_MAX, fixed_that_differs};
pub use consumer::{Consume, SessionHandle};
pub(crate) use consumer::{Consumer, ConsumerId, SessionId};
pub use death::Reason;
pub(crate) use deduplication::{
    Fingerprint, SIZE_MAX as SEEN_MAX, is_asked_for as is_deduplicating,
};
pub(crate) use delay::of as delay_of;
pub use engine::QueueView;
pub(crate) use engine::{
    Asked, BindingPlace, Claimant, Delivery, Engine, Enqueued, Eviction, FrontEnd, Hindrance,
    Lease, Route, Settlement, Sight, VHOST, VhostId, is_predeclared, is_queue_name,
};
pub(crate) use exchange::{Envelope, is_exchange_type};
pub use exchange::{ExchangeDeclaration, ExchangeKind};
pub(crate) use keys::of as routing_keys;
pub use message::{Body, Charge, Message};
pub use policy::{ApplyTo, Policy, PolicyLayer};
pub use queue::{Owner, QueueDeclaration};
pub(crate) use queue::{Queue, QueueId};
pub use refusal::{Refusal, RefusalKind};
pub(crate) use settings::may_have_lane;
pub(crate) use tally::QueueKind;
