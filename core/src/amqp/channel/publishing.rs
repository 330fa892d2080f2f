//! `basic.publish`: from its frames to the engine (§1.8 of the reference; §4.2.6 for contents).

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::mem::take;

use super::super::frame::{BODY_SIZE_MAX, CLASS_BASIC, ContentHeader, Frame, OutFrame};
use super::super::link::{Fault, Link};
use super::super::method::{BasicPublish, BasicReturn, Method};
use super::super::{
    AmqpError, BasicProperties, CompactBytes, Content, FieldTable, Properties, ReplyCode, ShortStr,
};
use super::confirms::Noted;
use super::settling::Published;
use super::topology::REPLY_QUEUE;
use super::{Channel, Context, Gated, Mode, precondition};
use crate::Mark;
use crate::broker::{
    Body, Charge, EXPIRATION_MAX, Enqueued, Envelope, Hindrance, Message, Right, Route, Sight,
    delay_of, routing_keys,
};

/// A content that is being received, if one is.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    publish: Option<BasicPublish>,
    header: Option<ContentHeader>,
    body: Body,
    received: u64,
}

/// A message as it was published, of which all has come.
struct Publish<'a> {
    exchange: &'a [u8],
    routing_key: ShortStr,
    mandatory: bool,
    immediate: bool,
    properties: Properties,
    body_size: u64,
    /// Nothing, if it is too large.
    body: Body,
}

/// The route of the last message published, for the next one: mostly it is the same.
#[derive(Debug)]
pub(super) struct LastRoute {
    version: u64,
    exchange: ShortStr,
    key: ShortStr,
    route: Arc<Route>,
}

/// An exchange to which the user may publish, for the next message: mostly it goes there too.
#[derive(Debug)]
pub(super) struct Granted {
    /// The version of the topology: in another one it is to be found out anew.
    version: u64,
    /// The name as the engine keeps it.
    exchange: ShortStr,
    /// Whether it depends on the routing key as well.
    has_topic_rules: bool,
}

impl Incoming {
    /// Its method has come; nothing else is under way.
    pub(super) fn begin(&mut self, publish: BasicPublish) {
        self.publish = Some(publish);
        self.received = 0;
    }

    /// Whether this header belongs to it, and a body is to come.
    fn expects(&self, header: &ContentHeader) -> bool {
        self.publish.is_some()
            && self.header.is_none()
            && (header.class_id, header.weight) == (CLASS_BASIC, 0)
            && (1..=BODY_SIZE_MAX).contains(&header.body_size)
    }

    fn set_header(&mut self, header: &mut ContentHeader) {
        let properties = take(&mut header.properties);
        self.header = Some(ContentHeader { properties, ..*header });
    }

    /// Whether there is one.
    pub(super) fn is_under_way(&self) -> bool {
        self.publish.is_some()
    }

    /// The error when something else comes between.
    pub(super) fn interrupted(&self) -> Fault {
        if self.header.is_some() {
            return unexpected("expected content body, got non content body frame instead");
        }
        unexpected("expected content header for class 60, got non content header frame instead")
    }
}

fn unexpected(explanation: &str) -> Fault {
    Fault::new(AmqpError::new(ReplyCode::UnexpectedFrame, explanation), BasicPublish::ID)
}

fn malformed(explanation: impl Into<alloc::string::String>) -> Fault {
    Fault::new(AmqpError::new(ReplyCode::FrameError, explanation), BasicPublish::ID)
}

/// The error of a header or body that belongs to no method; it is no method's fault.
pub(crate) fn expected_method() -> Fault {
    Fault {
        method: super::MethodId::NONE,
        ..unexpected("expected method frame, got non method frame instead")
    }
}

impl Channel {
    /// See [`Connection::take_part`](super::super::Connection::take_part).
    pub(crate) fn take_part(&mut self, frame: &mut Frame, hindrance: Hindrance) -> bool {
        match frame {
            _ if self.is_parked() => return false,
            Frame::Method(_, Method::BasicPublish(publish))
                if !hindrance.any() && !self.incoming.is_under_way() =>
            {
                self.incoming.begin(take(publish));
            }
            Frame::Header(_, header) if self.incoming.expects(header) => {
                self.incoming.set_header(header);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn take_header(
        &mut self,
        header: &mut ContentHeader,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let incoming = &mut self.incoming;
        if !incoming.is_under_way() {
            return Err(expected_method());
        }
        if incoming.header.is_some() || header.weight != 0 {
            return Err(incoming.interrupted());
        }
        if header.class_id != CLASS_BASIC {
            return Err(unexpected(&format!(
                "expected content header for class 60, got one for class {} instead",
                header.class_id
            )));
        }
        let size = header.body_size;
        if size > BODY_SIZE_MAX {
            return Err(malformed(format!(
                "content body size {size} exceeds maximum allowed size {BODY_SIZE_MAX}"
            )));
        }
        incoming.set_header(header);
        self.complete(link, ctx)
    }

    pub(super) fn take_body(
        &mut self,
        payload: CompactBytes,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let incoming = &mut self.incoming;
        if !incoming.is_under_way() {
            return Err(expected_method());
        }
        let Some(header) = &incoming.header else { return Err(incoming.interrupted()) };
        incoming.received += payload.len() as u64;
        if incoming.received > header.body_size {
            return Err(malformed("content body frame exceeds remaining content size"));
        }
        // A message that is too large is refused once it is complete, and not kept until then.
        if header.body_size <= ctx.config.message_size_max {
            incoming.body.push(payload);
        }
        self.complete(link, ctx)
    }

    /// Publishes the content once all of it is there.
    fn complete(&mut self, link: &mut Link, ctx: &mut Context<'_>) -> Result<(), Fault> {
        let Incoming { publish, header, body, received } = &mut self.incoming;
        let is_complete = |header: &mut ContentHeader| header.body_size == *received;
        let Some(header) = header.take_if(is_complete) else { return Ok(()) };
        let publish = publish.take().expect("what has a header has a method");
        let publish = Publish {
            exchange: publish.exchange.as_bytes(),
            routing_key: publish.routing_key,
            mandatory: publish.mandatory,
            immediate: publish.immediate,
            properties: header.properties,
            body_size: header.body_size,
            body: take(body),
        };
        self.publish(publish, link, ctx)
    }

    /// Whether a content may be taken whole: nothing of another one is here, and nothing waits.
    pub(crate) fn takes_contents(&self) -> bool {
        !self.is_parked() && !self.incoming.is_under_way()
    }

    /// Publishes a content that came whole.
    pub(crate) fn handle_content(
        &mut self,
        content: &Content<'_>,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let publish = Publish {
            exchange: content.exchange(),
            routing_key: content.routing_key(),
            mandatory: content.is_mandatory(),
            immediate: content.is_immediate(),
            properties: content.properties(),
            body_size: content.body_len(),
            body: content.body().into(),
        };
        self.publish(publish, link, ctx)
    }

    fn publish(
        &mut self,
        publish: Publish<'_>,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        self.check_and_publish(publish, link, ctx)
            .map_err(|error| Fault::new(error, BasicPublish::ID))
    }

    fn check_and_publish(
        &mut self,
        publish: Publish<'_>,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        if publish.immediate {
            return Err(AmqpError::new(ReplyCode::NotImplemented, "immediate=true"));
        }
        let (size, max) = (publish.body_size, ctx.config.message_size_max);
        if size > max {
            return Err(precondition(&format!(
                "message size {size} is larger than configured max size {max}"
            )));
        }
        if let Some(properties) = publish.properties.well_known() {
            return self.publish_with(publish, properties, link, ctx);
        }
        let properties = publish.properties.decode().map_err(|_| {
            AmqpError::new(ReplyCode::SyntaxError, "cannot decode the content's properties")
        })?;
        self.publish_with(publish, &properties, link, ctx)
    }

    fn publish_with(
        &mut self,
        publish: Publish<'_>,
        properties: &BasicProperties,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Result<(), AmqpError> {
        let known = self.known_route(&publish, properties, ctx);
        let (exchange, has_topic_rules, known) = match known {
            Some(known) => {
                ctx.engine.mark(Mark::RouteRemembered);
                (known.exchange.clone(), false, Some(known.route.clone()))
            }
            None => {
                let granted = self.check_publish(publish.exchange, link, ctx)?;
                (granted.exchange.clone(), granted.has_topic_rules, None)
            }
        };
        let ttl = time_to_live(properties)?;
        if has_topic_rules {
            check_topics(&publish, &exchange, properties, link, ctx)?;
        }
        check_user(properties, link, ctx)?;
        let delay = delay(properties)?;
        let route = match known {
            Some(known) => known,
            None if delay.is_some() => {
                // Where it goes is found out when its time has come.
                routing_keys(&publish.routing_key, properties)?;
                Arc::default()
            }
            None => self.find_route(&publish, &exchange, properties, link, ctx)?,
        };
        let persistent = properties.is_persistent();
        let properties = match self.rewritten(properties, delay.is_some())? {
            Some(rewritten) => rewritten.encode(),
            None => publish.properties,
        };
        if !self.is_publisher {
            self.is_publisher = true;
            ctx.engine.publishers += 1;
        }
        self.counters.published += 1;
        ctx.engine.message_sizes.note(publish.body_size);
        let charge = Charge::default();
        let is_dead_letter = false;
        let message = ctx.engine.pool.share(Message {
            exchange,
            routing_key: publish.routing_key,
            properties,
            body: publish.body,
            persistent,
            is_dead_letter,
            charge,
        });
        let published = Published { route, message, mandatory: publish.mandatory, ttl, delay };
        match &mut self.mode {
            Mode::Transaction(transaction) => transaction.publish(published, ctx)?,
            Mode::Plain => {
                self.distribute(published, link, ctx);
            }
            Mode::Confirm(_) => {
                ctx.engine.traffic.published_to_confirm += 1;
                let Enqueued { gate, is_refused, .. } = self.distribute(published, link, ctx);
                let Mode::Confirm(confirms) = &mut self.mode else { return Ok(()) };
                if is_refused {
                    confirms.refuse();
                    ctx.unconfirmed.push_back(self.handle);
                    return Ok(());
                }
                let durable = ctx.engine.durable();
                if gate <= durable && confirms.is_waiting() {
                    ctx.engine.mark(Mark::ConfirmAtOnce);
                }
                match confirms.publish(gate, durable) {
                    Noted::Due => ctx.unconfirmed.push_back(self.handle),
                    Noted::Waits => {
                        ctx.engine.mark(Mark::ConfirmGated);
                        ctx.engine.urge_log();
                        ctx.gated.push_back((gate, Gated::Confirms(self.handle)));
                    }
                    Noted::Known => {}
                }
            }
        }
        Ok(())
    }

    /// The exchange, if the user may publish to it. That is found out again only when something has
    /// changed, or for another exchange.
    fn check_publish(
        &mut self,
        exchange: &[u8],
        link: &Link,
        ctx: &Context<'_>,
    ) -> Result<&Granted, AmqpError> {
        let version = ctx.engine.topology_version();
        let is_granted = |granted: &Granted| {
            granted.version == version && granted.exchange.as_bytes() == exchange
        };
        if !self.granted.as_ref().is_some_and(is_granted) {
            let who = link.claimant();
            let exchange = ShortStr::copy(exchange).expect("it came as a short string");
            let exchange = ctx.engine.check_publish(link.vhost, Some(who), &exchange)?;
            let has_topic_rules = ctx.engine.has_topic_rules(who, &exchange);
            self.granted = Some(Granted { version, exchange, has_topic_rules });
        }
        Ok(self.granted.as_ref().expect("just made"))
    }

    /// Hands a message to the engine, unless its exchange has seen it. A duplicate is as good as
    /// sent, and confirmed, once the message is safe that came before it; it does not come back,
    /// mandatory or not.
    pub(super) fn distribute(
        &mut self,
        published: Published,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Enqueued {
        let Published { route, message, delay, .. } = &published;
        match ctx.engine.look(link.vhost, message, route, delay.is_some()) {
            Sight::Nothing => self.hand_over(published, link, ctx),
            Sight::New(sighting) => {
                let exchange = message.exchange.clone();
                let enqueued = self.hand_over(published, link, ctx);
                ctx.engine.remember_at_exchange(link.vhost, &exchange, sighting, enqueued);
                enqueued
            }
            Sight::Duplicate(gate) => Enqueued::nowhere(gate),
        }
    }

    /// Hands a message to the engine, or back to its publisher. Who was told that a message is safe
    /// must not find a queue after a start that it would have been in: that a queue or binding is
    /// gone counts once it is durable.
    fn hand_over(
        &mut self,
        published: Published,
        link: &mut Link,
        ctx: &mut Context<'_>,
    ) -> Enqueued {
        let Published { route, message, mandatory, ttl, delay } = published;
        if let Some(delay) = delay {
            return ctx.engine.postpone(link.vhost, message, delay);
        }
        ctx.engine.remember(link.vhost, &route, &message);
        let topology = if message.persistent { ctx.engine.topology_gate() } else { 0 };
        if let Some(counts) = &route.counts {
            counts.note_published();
            counts.note_routed(route.len());
        }
        if !route.is_empty() {
            ctx.engine.traffic.routed += route.len() as u64;
            let enqueued = ctx.engine.enqueue(&route, message, ttl);
            return Enqueued { gate: enqueued.gate.max(topology), ..enqueued };
        }
        ctx.engine.mark(if mandatory { Mark::Returned } else { Mark::Unroutable });
        self.counters.returned += u64::from(mandatory);
        self.counters.unroutable += u64::from(!mandatory);
        if mandatory {
            let code = "NO_ROUTE";
            let method = BasicReturn {
                reply_code: 312,
                reply_text: ShortStr::from_static(code),
                exchange: message.exchange.clone(),
                routing_key: message.routing_key.clone(),
            };
            let frame = OutFrame::Return(self.number, method.into(), message);
            link.send(ctx.out, ctx.now, frame);
        }
        Enqueued::nowhere(topology)
    }

    /// The last message's route, if it is this one's too.
    fn known_route(
        &self,
        publish: &Publish<'_>,
        properties: &BasicProperties,
        ctx: &Context<'_>,
    ) -> Option<&LastRoute> {
        self.last_route.as_ref().filter(|last| {
            properties.headers.is_none()
                && last.version == ctx.engine.topology_version()
                && last.exchange.as_bytes() == publish.exchange
                && last.key == publish.routing_key
        })
    }

    /// Where the message goes.
    fn find_route(
        &mut self,
        publish: &Publish<'_>,
        exchange: &ShortStr,
        properties: &BasicProperties,
        link: &Link,
        ctx: &mut Context<'_>,
    ) -> Result<Arc<Route>, AmqpError> {
        let keys = routing_keys(&publish.routing_key, properties)?;
        let envelope = Envelope { key: &publish.routing_key, keys: &keys, properties };
        let route = Arc::new(ctx.engine.route(link.vhost, exchange, &envelope));
        if properties.headers.is_none() && !route.is_by_more_than_key {
            self.last_route = Some(LastRoute {
                version: ctx.engine.topology_version(),
                exchange: exchange.clone(),
                key: publish.routing_key.detached(),
                route: route.clone(),
            });
        }
        Ok(route)
    }

    /// The properties as consumers are to see them, where that is not as they came: with the
    /// address for direct replies put in, and without `BCC`, unless the message `is_delayed` and
    /// still to be routed by it.
    fn rewritten(
        &self,
        properties: &BasicProperties,
        is_delayed: bool,
    ) -> Result<Option<BasicProperties>, AmqpError> {
        let asks_for_address =
            properties.reply_to.as_ref().is_some_and(|reply_to| *reply_to == REPLY_QUEUE);
        let has_blind = !is_delayed
            && properties.headers.as_ref().is_some_and(|table| table.find("BCC").is_some());
        if !asks_for_address && !has_blind {
            return Ok(None);
        }
        let mut properties = properties.clone();
        if asks_for_address {
            let Some(consumer) = &self.reply_consumer else {
                return Err(precondition("fast reply consumer does not exist"));
            };
            properties.reply_to = Some(consumer.address.clone());
        }
        if has_blind {
            properties.headers = without_bcc(properties.headers);
        }
        Ok(Some(properties))
    }
}

/// Whether the user may publish with these keys, if the exchange is one of topics.
fn check_topics(
    publish: &Publish<'_>,
    exchange: &ShortStr,
    properties: &BasicProperties,
    link: &Link,
    ctx: &Context<'_>,
) -> Result<(), AmqpError> {
    let who = link.claimant();
    ctx.engine.check_topics(who, Right::Write, exchange, [&publish.routing_key])?;
    if properties.headers.is_some() {
        let keys = routing_keys(&publish.routing_key, properties)?;
        ctx.engine.check_topics(who, Right::Write, exchange, &keys)?;
    }
    Ok(())
}

fn check_user(
    properties: &BasicProperties,
    link: &Link,
    ctx: &Context<'_>,
) -> Result<(), AmqpError> {
    let may_claim = |claimed: &ShortStr| {
        let who = link.claimant();
        *claimed == link.user || who.is_operator || ctx.engine.may_impersonate(&link.user)
    };
    match &properties.user_id {
        Some(claimed) if !may_claim(claimed) => Err(precondition(&format!(
            "user_id property set to '{claimed}' but authenticated user was '{}'",
            link.user
        ))),
        _ => Ok(()),
    }
}

/// For how many milliseconds the message may wait, if it says so.
fn time_to_live(properties: &BasicProperties) -> Result<Option<u64>, AmqpError> {
    let Some(text) = &properties.expiration else { return Ok(None) };
    let text = text.to_text();
    let digits_at = usize::from(text.starts_with(['+', '-']));
    let (sign, unsigned) = text.split_at(digits_at);
    let is_digit = |char: char| char.is_ascii_digit();
    let (digits, rest) =
        unsigned.split_at(unsigned.find(|char| !is_digit(char)).unwrap_or(unsigned.len()));
    let millis = digits.trim_start_matches('0');
    let problem = match (digits, rest, millis.parse::<u64>()) {
        ("", ..) => "no_integer".to_string(),
        (_, "", _) if sign == "-" && !millis.is_empty() => format!("{{value_negative,-{millis}}}"),
        (_, "", Ok(millis)) if millis <= EXPIRATION_MAX => return Ok(Some(millis)),
        (_, "", _) if millis.is_empty() => return Ok(Some(0)),
        (_, "", _) => format!("{{value_too_large,{millis}}}"),
        (_, rest, _) => format!("{{leftover_string,{rest:?}}}"),
    };
    Err(precondition(&format!("invalid expiration '{text}': {problem}")))
}

/// For how many milliseconds the message is to wait before it is routed, if it says so.
fn delay(properties: &BasicProperties) -> Result<Option<u64>, AmqpError> {
    match delay_of(properties) {
        Some(millis) if millis > EXPIRATION_MAX => {
            Err(precondition(&format!("invalid x-delay '{millis}': {{value_too_large,{millis}}}")))
        }
        delay => Ok(delay),
    }
}

fn without_bcc(headers: Option<FieldTable>) -> Option<FieldTable> {
    let headers = headers?;
    Some(FieldTable::new(headers.iter().filter(|(name, _)| name != "BCC").cloned().collect()))
}
