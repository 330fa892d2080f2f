//! The broker's events, as log records with fields.

use tracing::{debug, info, warn};
use warren_core::Event;

/// Logs `event`.
pub(crate) fn log(event: &Event) {
    match event {
        Event::ConnectionOpened { peer, user, vhost, client } => {
            info!(peer, user, vhost, client = client.as_deref(), "connection opened");
        }
        Event::ConnectionClosed { peer, client, error: None } => {
            info!(peer, client = client.as_deref(), "connection closed");
        }
        Event::ConnectionClosed { peer, client, error: Some(error) } => {
            warn!(peer, client = client.as_deref(), error, "connection closed");
        }
        Event::ConnectionUnused { peer } => debug!(peer, "connection closed without a byte"),
        Event::LoginRefused { peer, user, reason } => {
            warn!(peer, user, reason, "login refused");
        }
        // The connection's end, which follows, says the same.
        Event::AlarmRaised(alarm) => {
            warn!(?alarm, "too little of it is left: publishers wait until there is more");
        }
        Event::DiskError(error) => warn!(error, "the disk refused something; it is tried again"),
        Event::AlarmCleared(alarm) => info!(?alarm, "there is enough again"),
        Event::DeadLettersLost { vhost, queue, count, reason } => {
            warn!(vhost, queue, count, reason, "dead letters went nowhere");
        }
        Event::DeadLettersKept { vhost, queue, count, reason } => {
            warn!(vhost, queue, count, reason, "dead letters wait until they can go");
        }
        Event::DelayedMessagesLost { vhost, exchange, count, reason } => {
            warn!(vhost, exchange, count, reason, "delayed messages went nowhere");
        }
        Event::ErrorSent { peer, channel: 0, method, error } => debug!(
            peer,
            class = method.class,
            method = method.method,
            code = error.code.code(),
            text = %error.reply_text(),
            "connection was told of an error"
        ),
        Event::ErrorSent { peer, channel, method, error } => warn!(
            peer,
            channel,
            class = method.class,
            method = method.method,
            code = error.code.code(),
            text = %error.reply_text(),
            "channel was told of an error"
        ),
    }
}
