//! What RabbitMQ has no names for.

use warren_core::metrics::{BatchSizes, Metrics, QueueSums};

use super::Source;
use super::exposition::{Exposition, Labels, label};
use crate::usage;

/// Microseconds in a second.
const MICROS: f64 = 1e6;

/// All of it.
pub(super) fn add(source: &Source, metrics: &Metrics, out: &mut Exposition) {
    disk(source, out);
    log(metrics, out);
    memory(metrics, out);
    broker(metrics, out);
}

fn disk(source: &Source, out: &mut Exposition) {
    let disk = source.disk.metrics();
    for (name, what, used) in [
        ("log_sync_seconds", "syncs of the log, for which confirms wait", disk.log_sync),
        ("other_sync_seconds", "syncs of other files, for which nobody waits", disk.other_sync),
        ("disk_write_seconds", "writes, which leave the data to the system", disk.write),
        ("disk_read_seconds", "reads", disk.read),
    ] {
        let help = format!("Time that {what} took.");
        out.histogram(name, &help, Labels::new(), &used.times, MICROS);
    }
}

fn log(metrics: &Metrics, out: &mut Exposition) {
    let log = &metrics.log;
    let batches: [(&str, &str, &BatchSizes); 3] = [
        ("log_batch_bytes", "Bytes of a batch of the log.", &log.batch_bytes),
        ("log_batch_records", "Records of a batch: messages and facts.", &log.batch_records),
        (
            "log_batch_waiters",
            "Channels with confirms, and others who asked for something, that a batch let go on.",
            &log.batch_waiters,
        ),
    ];
    for (name, help, sizes) in batches {
        out.histogram(name, help, Labels::new(), sizes, 1.0);
    }
    out.gauge_list(&[
        ("log_segments", "Files of the log.", log.segments),
        ("log_bytes", "Bytes of the files of the log.", log.bytes),
        ("log_live_bytes", "Bytes of messages in the log that are in queues.", log.live_bytes),
        ("log_backlog_bytes", "Bytes that wait to be written to the log.", log.pending_bytes),
        (
            "gate_waiters",
            "Channels with confirms, and others who asked for something, that wait for the disk.",
            metrics.gate_waiters,
        ),
    ]);
    out.counter_list(&[
        ("log_segments_deleted_total", "Files of the log that went.", log.segments_deleted),
        (
            "log_moved_messages_total",
            "Messages that were copied so that a file of the log can go.",
            log.messages_moved,
        ),
        ("log_moved_bytes_total", "Bytes of those.", log.bytes_moved),
        ("queue_reads_total", "Reads of messages that were on disk only.", log.reads),
        ("queue_read_bytes_total", "Bytes of those.", log.read_bytes),
    ]);
}

fn memory(metrics: &Metrics, out: &mut Exposition) {
    let memory = &metrics.memory;
    let classes = [
        ("messages", memory.messages),
        ("transactions", memory.uncommitted),
        ("exchange_history", memory.history),
    ];
    let samples = classes.map(|(class, bytes)| (vec![label("class", class)], bytes as f64));
    let help = "Bytes of memory that messages take: in queues and on their way, in transactions \
                that are not committed, and kept by exchanges.";
    out.gauges("memory_bytes", help, samples);
    let help = "Processors' time that the process took.";
    out.counters("cpu_seconds_total", help, [(Labels::new(), usage::processor_seconds())]);
}

fn broker(metrics: &Metrics, out: &mut Exposition) {
    let sum = |of: fn(&QueueSums) -> u64| of(&metrics.queues.classic) + of(&metrics.queues.quorum);
    out.gauge_list(&[
        ("timers", "Moments at which something is to be looked after.", metrics.timers),
        (
            "delayed_messages",
            "Messages that wait for their time (x-delay).",
            metrics.queues.delayed.ready,
        ),
        (
            "parked_channels",
            "Channels that wait with publishing, or for a message to be read.",
            metrics.parked_channels,
        ),
    ]);
    out.counter_list(&[
        (
            "lost_dead_letters_total",
            "Dead letters that no queue took.",
            sum(|sums| sums.lost_letters),
        ),
        (
            "lost_delayed_messages_total",
            "Delayed messages that no queue took when their time had come.",
            metrics.queues.delayed.lost_letters,
        ),
        (
            "expired_messages_total",
            "Messages that waited for too long.",
            sum(|sums| sums.counters.expired),
        ),
        (
            "dropped_messages_total",
            "Messages for which there was no room.",
            sum(|sums| sums.counters.dropped),
        ),
        (
            "failed_logins_total",
            "Logins that failed, over AMQP and over HTTP.",
            metrics.traffic.logins_refused + metrics.traffic.logins_inside_refused,
        ),
    ]);
}
