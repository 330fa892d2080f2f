//! What changes while the broker runs, when it is told to read its configuration again.

use std::io;

use tracing::{error, info, warn};
use warren_core::Command;
use warren_io::{BrokerHandle, Tls};

use crate::config::{self, InForce, Loaded, Machine, Service, Sources};
use crate::logging::Logs;
use crate::tls::{Expiries, Identity};

/// What is read again, and what it goes to.
pub(crate) struct Reload {
    sources: Sources,
    loaded: Loaded,
    /// What counts now.
    in_force: InForce,
    logs: Logs,
    machine: Machine,
    /// When the certificates run out.
    expiries: Expiries,
    /// Who shakes hands with whom.
    tls: Vec<(Service, Tls)>,
}

impl Reload {
    /// What was read from these at the start.
    pub(crate) fn new(sources: Sources, loaded: Loaded, logs: Logs, machine: Machine) -> Self {
        let (in_force, expiries) = (InForce::new(&loaded), Expiries::default());
        Self { sources, loaded, in_force, logs, machine, expiries, tls: Vec::new() }
    }

    /// What counts since the start.
    pub(crate) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// What counts now, for whoever asks.
    pub(crate) fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// When the certificates run out.
    pub(crate) fn expiries(&self) -> &Expiries {
        &self.expiries
    }

    /// What the machine has.
    pub(crate) fn machine(&self) -> Machine {
        self.machine
    }

    /// What is logged.
    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Shakes hands with those who come for this, in this name, and in another once there are other
    /// files.
    ///
    /// # Errors
    /// When the operating system refuses what it needs.
    pub(crate) fn start_tls(&mut self, service: Service, identity: Identity) -> io::Result<Tls> {
        warn_of_expiry(&identity);
        self.expiries.set(service, &identity);
        let tls = identity.start(self.loaded.settings.tls.handshake_timeout)?;
        self.tls.push((service, tls.clone()));
        Ok(tls)
    }

    /// Reads everything again, and does what can be done at once. What is wrong stays as it was.
    pub(crate) async fn now(&self, broker: &BrokerHandle) {
        self.logs.reopen();
        let loaded = match self.sources.load() {
            Ok(loaded) => loaded,
            Err(errors) => {
                for error in errors.to_string().lines() {
                    error!("{error}");
                }
                return error!("the configuration stays as it was, as it is wrong now");
            }
        };
        self.logs.set_levels(&loaded.settings.log);
        let limits = Command::SetNodeLimits(loaded.settings.core.node_limits);
        // A broker that is stopping does not need any.
        let _ = broker.command(limits).await;
        let resources = loaded.settings.resource_limits(self.machine);
        let are_resources_taken = resources.is_ok();
        match resources {
            Ok(limits) => {
                let before = broker.look(|broker| broker.resource_limits()).await;
                let _ = broker.command(Command::SetResourceLimits(limits)).await;
                if limits != before {
                    config::tell(limits);
                }
            }
            Err(error) => error!("the limits of memory and disk stay as they were: {error}"),
        }
        let later = self.loaded.changes_for_a_start(&loaded);
        if !later.is_empty() {
            warn!(keys = later.join(", "), "what these say counts from the next start on");
        }
        let load = |(service, _): &(Service, _)| Identity::load(loaded.settings.tls_of(*service));
        let identities: Result<Vec<_>, _> = self.tls.iter().map(load).collect();
        self.in_force.read_again(&loaded, |key| match key {
            key if config::is_of_resources(key) => are_resources_taken,
            key if config::is_of_tls(key) => identities.is_ok(),
            _ => true,
        });
        let identities = match identities {
            Ok(identities) => identities,
            Err(error) => return error!("the certificate stays as it was: {error}"),
        };
        for ((service, tls), identity) in self.tls.iter().zip(identities) {
            warn_of_expiry(&identity);
            self.expiries.set(*service, &identity);
            identity.replace(tls);
        }
        info!("the configuration was read again");
    }
}

fn warn_of_expiry(identity: &Identity) {
    if identity.has_expired() {
        warn!("the time of the certificate for TLS is over: clients will refuse it");
    }
}
