//! What goes wrong around the broker: clients that vanish, stall or send nonsense, links that clog.

use super::{Draw, Step, Who, pick};

impl Draw {
    /// Now and then something breaks.
    pub(super) fn fault(&mut self) {
        let rng = &mut self.faults;
        if rng.f32() >= 0.03 {
            return;
        }
        let client = rng.u8(1..=self.clients);
        let who = Who::Client(client);
        let features = &self.features;
        match rng.u32(0..8) {
            0 | 1 if features.resets => {
                let verb = if rng.bool() { "reset" } else { "eof" };
                self.push(Step::new(who, verb));
                self.come_back(client);
            }
            2 if features.half_open => {
                self.push(Step::new(who, "vanish"));
                self.come_back(client);
            }
            3 if features.slow_readers => {
                let us = rng.u64(1000..=3_000_000);
                self.push(Step::new(who, "stall").with("us", us));
            }
            4 if features.clogs => {
                let us = rng.u64(1000..=1_500_000);
                self.push(Step::new(who, "clog").with("us", us));
            }
            5 if features.garbage => self.garbage(),
            6 if features.silent => self.silence(),
            7 if features.mass_reconnects && rng.f32() < 0.3 => {
                for client in 1..=self.clients {
                    self.push(Step::new(Who::Client(client), "reset"));
                }
                for client in 1..=self.clients {
                    self.come_back(client);
                }
            }
            _ => {}
        }
    }

    fn come_back(&mut self, client: u8) {
        if self.faults.bool() {
            let us = self.faults.u64(1..=20_000);
            self.push(Step::wait(us));
        }
        self.connect(client);
        for channel in 1..=self.channels {
            self.open(client, channel);
        }
    }

    /// Broken bytes, on a connection of their own.
    fn garbage(&mut self) {
        let client = self.faults.u8(100..120);
        let kinds = [
            "kind",
            "end",
            "large",
            "method",
            "arguments",
            "body",
            "header",
            "heartbeat",
            "channel",
            "noise",
        ];
        let kind = pick(&mut self.faults, &kinds);
        let salt = self.faults.u16(..);
        let who = Who::Client(client);
        self.push(Step::new(who, "connect").with("salt", salt).with("fragment_max", 3));
        if self.faults.bool() {
            self.push(Step::new(Who::Channel(client, 1), "open"));
        }
        self.push(Step::new(who, "garbage").with("kind", kind).with("salt", salt));
    }

    /// A client that does not finish its handshake, or is refused in it.
    fn silence(&mut self) {
        let client = self.faults.u8(120..140);
        let connect = Step::new(Who::Client(client), "connect");
        let places =
            ["connect", "half_header", "header", "start", "tune", "wrong_header", "old_header"];
        let step = match self.faults.u32(0..10) {
            0 => connect.with("password", "wrong"),
            1 => connect.with("vhost", "elsewhere"),
            2 => connect.with("frame_max", 1000),
            3 => connect.with("frame_max", 1_000_000),
            _ => connect.with("silent_after", pick(&mut self.faults, &places)),
        };
        let plain = self.faults.f32() < 0.3;
        self.push(step.flag("plain_client", plain));
    }
}
