//! Scenarios through the broker's interface: frames in, frames out, time as given.

#[path = "broker/access.rs"]
mod access;
#[path = "broker/body_bytes.rs"]
mod body_bytes;
#[path = "broker/client.rs"]
mod client;
#[path = "broker/connections.rs"]
mod connections;
#[path = "broker/contents.rs"]
mod contents;
#[path = "broker/costs.rs"]
mod costs;
#[path = "broker/course.rs"]
mod course;
#[path = "broker/deduplication.rs"]
mod deduplication;
#[path = "broker/delays.rs"]
mod delays;
#[path = "broker/deliveries.rs"]
mod deliveries;
#[path = "broker/disk.rs"]
mod disk;
#[path = "broker/durability.rs"]
mod durability;
#[path = "broker/dying.rs"]
mod dying;
#[path = "broker/exchanges.rs"]
mod exchanges;
#[path = "broker/expiry.rs"]
mod expiry;
#[path = "broker/handover.rs"]
mod handover;
#[path = "broker/kept_letters.rs"]
mod kept_letters;
#[path = "broker/listing.rs"]
mod listing;
#[path = "broker/marks.rs"]
mod marks;
#[path = "broker/metrics.rs"]
mod metrics;
#[path = "broker/policies.rs"]
mod policies;
#[path = "broker/policy_preview.rs"]
mod policy_preview;
#[path = "broker/priorities.rs"]
mod priorities;
#[path = "broker/publishing.rs"]
mod publishing;
#[path = "broker/purging.rs"]
mod purging;
#[path = "broker/queue_arguments.rs"]
mod queue_arguments;
#[path = "broker/timeouts.rs"]
mod timeouts;
#[path = "broker/waiting.rs"]
mod waiting;
