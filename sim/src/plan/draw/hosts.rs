//! Clients that work in another virtual host than the others, under the same names.

use fastrand::Rng;

use super::{Draw, Step, Who};

/// The other virtual host.
const OTHER: &str = "v1";

/// Whether there is another.
#[derive(Clone, Debug)]
pub(super) struct HostFeatures {
    is_on: bool,
}

impl HostFeatures {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self { is_on: rng.f32() < 0.2 }
    }
}

impl Draw {
    /// Whether a client works in the other virtual host.
    fn is_elsewhere(&self, client: u8) -> bool {
        self.host_features.is_on && client.is_multiple_of(2)
    }

    /// The other virtual host, before anybody comes to it.
    pub(super) fn house(&mut self) {
        if !self.host_features.is_on {
            return;
        }
        self.push(Step::new(Who::World, "vhost").with("name", OTHER));
        let permit = Step::new(Who::World, "permit").with("vhost", OTHER).with("user", "guest");
        let all = ["configure", "write", "read"].into_iter();
        self.push(all.fold(permit, |step, key| step.with(key, ".*")));
    }

    /// A step about what is in a virtual host: now and then in the other one.
    pub(super) fn somewhere(&mut self, step: Step) -> Step {
        match self.host_features.is_on && self.hosts.f32() < 0.4 {
            true => step.with("vhost", OTHER),
            false => step,
        }
    }

    /// Where a client connects to, if nothing else is said of it.
    pub(super) fn at_home(&self, client: u8, connect: Step) -> Step {
        let is_said = connect.value("vhost").is_some() || connect.value("user").is_some();
        match self.is_elsewhere(client) && !is_said {
            true => connect.with("vhost", OTHER),
            false => connect,
        }
    }

    /// What there is in `/`, there is in the other virtual host too.
    pub(super) fn set_up_elsewhere(&mut self) {
        let Some(client) = (1..=self.clients).find(|client| self.is_elsewhere(*client)) else {
            return;
        };
        let who = Who::Channel(client, 1);
        for at in 0..self.exchanges.len() {
            self.declare_exchange(who, at);
        }
        for at in 0..self.queues.len() {
            self.declare_queue(who, at);
            self.bind(who, at);
        }
        self.push(Step::wait(2000));
    }
}
