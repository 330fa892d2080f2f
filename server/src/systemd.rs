//! What systemd is told of the broker, if it started it and wants to know.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::spawn_local;
use tracing::debug;

/// How much longer a start may take once it said that it goes on.
const START_EXTENSION: Duration = Duration::from_secs(60);

/// Clients can connect.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving clients")]);
}

/// The start takes its time, and goes on.
pub(crate) fn starting(status: &str) {
    let extension = NotifyState::ExtendTimeoutUsec(START_EXTENSION.as_micros() as u32);
    tell(&[NotifyState::Status(status), extension]);
}

/// The configuration is read again; to be followed by [`ready`].
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "systemd cannot be told what time it is"),
    }
}

/// The broker takes its leave, to be there again in the same process; to be followed by [`ready`].
pub(crate) fn restarting() {
    reloading();
    starting("taking leave of clients, to start anew");
}

/// The broker takes its leave.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("taking leave of clients")]);
}

/// Gives a sign of life as often as systemd wants one, from the thread that serves clients: should
/// that one get stuck, the broker is restarted. Who is started for the first time need not yet, but
/// who was there before in the same process has to. To be called in its runtime.
pub(crate) fn keep_telling_of_life() {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    spawn_local(async move {
        loop {
            tell(&[NotifyState::Watchdog]);
            tokio::time::sleep(patience / 2).await;
        }
    });
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "systemd cannot be told anything");
    }
}
