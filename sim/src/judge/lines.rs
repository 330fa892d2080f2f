//! The lines of the trace.

use super::{ChannelKey, Judge, Said, Told};
use crate::model::Parked;
use crate::wire::{Frame, Incoming, Method};

impl Judge {
    /// The names of what an ack settles, for the trace.
    pub(super) fn settled(&self, told: &Told) -> String {
        let Told::Frame(link, Frame::Method(number, method)) = told else { return String::new() };
        if !matches!(method.name(), "basic.ack" | "basic.nack" | "basic.reject") {
            return String::new();
        }
        let Some(channel) = self.model.channel((*link, *number)) else { return String::new() };
        let tag = method.number("delivery-tag");
        let is_multiple = method.name() != "basic.reject" && method.bit("multiple");
        let is_meant = |other: &u64| *other == tag || is_multiple && (*other < tag || tag == 0);
        let meant = channel.unacked.iter().filter(|(other, _)| is_meant(other));
        let names = meant.map(|(_, unacked)| &self.model.messages[unacked.copy.message].name);
        names.fold(" settles".to_owned(), |text, name| text + " " + name)
    }

    /// The names of what the broker has just confirmed, if this does.
    fn confirms(&self, method: &Method) -> String {
        if !matches!(method.name(), "basic.ack" | "basic.nack") {
            return String::new();
        }
        let names = self.confirmed.iter().map(|index| &self.model.messages[*index].name);
        names.fold(" answers".to_owned(), |text, name| text + " " + name)
    }

    pub(super) fn trace_route(&mut self, now: u64, index: usize) {
        let message = &self.model.messages[index];
        let queues = message.fates.iter().filter_map(|(queue, _)| self.model.queues.get(&queue));
        let names: Vec<&str> = queues.map(|queue| queue.name.as_str()).collect();
        let text = format!("^ {} is routed to {names:?}", message.name);
        let who = self.who(message.channel.0, message.channel.1);
        self.trace.line(&self.model, now, &who, &text, self.model.touched);
    }

    pub(super) fn trace_told(&mut self, now: u64, told: &Told, settled: &str) {
        let (link, number, text) = match told {
            Told::Connected(link, ..) => (link, 0, "connects".to_owned()),
            Told::Frame(link, Frame::Method(number, method)) => {
                (link, *number, format!("{method:?}{settled}"))
            }
            Told::Frame(link, Frame::Header { channel, body_len, properties, .. }) => {
                let name = properties.text("message-id").unwrap_or("");
                (link, *channel, format!("header {name} {body_len} bytes"))
            }
            Told::Frame(link, Frame::Body(number, bytes)) => {
                (link, *number, format!("body {} bytes", bytes.len()))
            }
            Told::Frame(link, Frame::Heartbeat(number)) => (link, *number, "heartbeat".to_owned()),
            Told::Frame(link, Frame::ProtocolHeader(header)) => {
                (link, 0, format!("header {:?}", String::from_utf8_lossy(header)))
            }
            Told::Bad(link, bad) => (link, 0, format!("no frame: {bad:?}")),
            Told::Closed(link) => (link, 0, "end of stream".to_owned()),
            Told::Verified(link, is_right) => {
                let text =
                    if *is_right { "the password is right" } else { "the password is wrong" };
                (link, 0, text.to_owned())
            }
            Told::Stopped(reason) => {
                let text = format!("> is to stop: {reason}");
                return self.trace.line(&self.model, now, "", &text, None);
            }
            Told::DiskFree(free) => {
                let text = format!("> {free} bytes are free");
                return self.trace.line(&self.model, now, "", &text, None);
            }
            Told::Command(number, wish) => {
                let text = format!("> wish {number}: {wish:?}");
                return self.trace.line(&self.model, now, "", &text, None);
            }
            Told::Received(_) | Told::Drained(..) | Told::Disk | Told::Tick => return,
        };
        let who = self.who(*link, number);
        self.trace.line(&self.model, now, &who, &format!("> {text}"), self.model.touched);
    }

    /// A method that waited is handled.
    pub(super) fn trace_released(&mut self, now: u64, key: ChannelKey, frame: &Frame) {
        if let Frame::Method(_, method) = frame {
            let who = self.who(key.0, key.1);
            let text = format!("^ now {method:?}");
            self.trace.line(&self.model, now, &who, &text, self.model.touched);
        }
    }

    /// How many frames wait, when that has changed.
    pub(super) fn trace_parked(&mut self, now: u64, parked: &Parked) {
        if *parked == self.parked {
            return;
        }
        self.parked.clone_from(parked);
        let waiting = parked
            .iter()
            .map(|((link, number), frames)| format!(" {} {frames}", self.who(*link, *number)));
        let text = format!("^ frames wait:{}", waiting.collect::<String>());
        self.trace.line(&self.model, now, "", &text, None);
    }

    pub(super) fn trace_said(&mut self, now: u64, said: &Said, mark: &str) {
        if !self.trace.keeps_lines() {
            return;
        }
        let (link, number, text) = match said {
            Said::Sent(link, Incoming::Heartbeat) => (link, 0, "heartbeat".to_owned()),
            Said::Sent(link, Incoming::Refusal(header)) => {
                (link, 0, format!("header {:?}", String::from_utf8_lossy(header)))
            }
            Said::Sent(link, Incoming::Method(number, method)) => {
                (link, *number, format!("{method:?}{}", self.confirms(method)))
            }
            Said::Sent(link, Incoming::Content(number, method, properties, body)) => {
                let name = properties.text("message-id").unwrap_or("without a name");
                (link, *number, format!("{method:?} {name} {} bytes", body.len()))
            }
            Said::Closed(link) => (link, 0, "closes".to_owned()),
            Said::Paused(link) => (link, 0, "stops reading".to_owned()),
            Said::Resumed(link) => (link, 0, "reads again".to_owned()),
            Said::Alarm(alarm, is_on) => {
                let state = if *is_on { "is short of" } else { "has enough" };
                let text = format!("{mark} {state} {alarm}");
                return self.trace.line(&self.model, now, "", &text, None);
            }
            Said::Answered(number, answer) => {
                let text = format!("{mark} wish {number}: {answer:?}");
                return self.trace.line(&self.model, now, "", &text, None);
            }
            Said::Noted(text) => {
                let text = format!("{mark} {text}");
                return self.trace.line(&self.model, now, "", &text, None);
            }
            Said::Halted(reason) => {
                let text = format!("{mark} gives up: {reason}");
                return self.trace.line(&self.model, now, "", &text, None);
            }
        };
        let who = self.who(*link, number);
        let touched = self.model.touched;
        self.trace.line(&self.model, now, &who, &format!("{mark} {text}"), touched);
    }

    pub(super) fn who(&self, link: usize, number: u16) -> String {
        let client = self.model.connections.get(&link).map_or(0, |found| found.client);
        if number == 0 { format!("c{client}") } else { format!("c{client}/{number}") }
    }
}
