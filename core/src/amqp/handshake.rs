//! The handshake: protocol header, login, tuning, opening (§2.2.4).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use core::time::Duration;

use bytes::Bytes;

use super::channel::{Context, expected_method};
use super::connection::{Connection, Greeting, Phase, SILENCE, unexpected_frame};
use super::frame::{Frame, OutFrame, PROTOCOL_HEADER};
use super::link::{Capabilities, Fault, on_channel};
use super::method::*;
use super::sasl::{self, Claim, SaslError};
use super::{AmqpError, FieldTable, FieldValue, ReplyCode, ShortStr};
use crate::broker::{Password, PasswordHash};
use crate::{Config, Event, Mark, Output, Peer};

/// The smallest frame size that a client may ask for, in bytes (§4.2.3 asks for 4096).
const FRAME_MAX_MIN: u32 = 4096;

/// The header of AMQP 1.0 with SASL: what RabbitMQ answers to anything it does not know.
const PROTOCOL_HEADER_1_0: [u8; 8] = *b"AMQP\x03\x01\x00\x00";

impl Connection {
    pub(super) fn handle_handshake(
        &mut self,
        frame: Frame,
        ctx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let method = match frame {
            Frame::ProtocolHeader(header) if self.phase == Phase::Header => {
                self.take_protocol_header(header, ctx);
                return Ok(());
            }
            Frame::Heartbeat(0) => return Ok(()),
            Frame::Heartbeat(_) | Frame::ProtocolHeader(_) => return Err(unexpected_frame(8)),
            Frame::Method(0, method) => method,
            Frame::Method(_, method) => {
                return Err(Fault::new(super::channel::expected_open(), method.id()));
            }
            Frame::Header(..) | Frame::Body(..) => return Err(expected_method()),
        };
        match (self.phase, method) {
            (Phase::Starting, Method::ConnectionStartOk(start_ok)) => self.log_in(&start_ok, ctx),
            (Phase::Tuning, Method::ConnectionTuneOk(tune_ok)) => self.tune(&tune_ok, ctx),
            (Phase::Opening, Method::ConnectionOpen(open)) => self.open(&open, ctx),
            (_, Method::ConnectionClose(_)) => {
                self.finish(ctx);
                Ok(())
            }
            (_, method) => Err(self.unexpected_method(method.id())),
        }
    }

    fn take_protocol_header(&mut self, header: [u8; 8], ctx: &mut Context<'_>) {
        let offer = match header {
            // The second is that of 0-9, which is near enough for those who still send it.
            PROTOCOL_HEADER | [b'A', b'M', b'Q', b'P', 1, 1, 0, 9] => {
                let start =
                    start(ctx.config, sasl::mechanisms(&ctx.config.mechanisms, &self.link.peer));
                self.link.send(ctx.out, ctx.now, on_channel(0, start));
                self.phase = Phase::Starting;
                return;
            }
            // Clients of 1.0, with or without SASL, must not take the answer for consent.
            [b'A', b'M', b'Q', b'P', 0, 0, 9..=255, _]
            | [b'A', b'M', b'Q', b'P', 0 | 3, 1, 0, 0] => PROTOCOL_HEADER,
            _ => PROTOCOL_HEADER_1_0,
        };
        let refusal = match &header {
            [b'A', b'M', b'Q', b'P', version @ ..] => {
                format!("unsupported AMQP version {version:?}")
            }
            [0x16, 3, ..] => "TLS handshake on a port without TLS".to_string(),
            [b'G', b'E', b'T', b' ', ..] => "HTTP request on an AMQP port".to_string(),
            other => format!("not AMQP: first bytes {other:?}"),
        };
        ctx.engine.mark(Mark::ProtocolRefused);
        self.link.send(ctx.out, ctx.now, OutFrame::ProtocolHeader(offer));
        self.report_end(Some(refusal), ctx);
        self.cut(ctx);
    }

    fn log_in(&mut self, start_ok: &ConnectionStartOk, ctx: &mut Context<'_>) -> Result<(), Fault> {
        self.link.capabilities = Capabilities::read(&start_ok.client_properties);
        self.client_name = match start_ok.client_properties.find("connection_name") {
            Some(FieldValue::LongStr(name)) => {
                Some(alloc::string::String::from_utf8_lossy(name).into_owned())
            }
            _ => None,
        };
        self.mechanism = start_ok.mechanism.detached();
        self.greeting = Some(Box::new(Greeting::new(&start_ok.client_properties)));
        let (mechanism, response) = (start_ok.mechanism.as_bytes(), &start_ok.response);
        let (peer, allowed) = (&self.link.peer, &ctx.config.mechanisms);
        let claim = match Claim::read(mechanism, response, peer, allowed) {
            Ok(claim) => claim,
            Err(SaslError::UnknownMechanism) => {
                self.report_refusal("", "unknown authentication mechanism", ctx);
                self.enter(Phase::Silent, SILENCE, ctx);
                return Ok(());
            }
            Err(SaslError::Malformed) => {
                self.report_refusal("", "response of the mechanism cannot be read", ctx);
                let text = "cannot read the response of the authentication mechanism";
                let error = AmqpError::new(ReplyCode::SyntaxError, text);
                return Err(Fault::new(error, ConnectionStartOk::ID));
            }
        };
        self.examine(claim, ctx);
        Ok(())
    }

    /// Has it found out whether a claim holds.
    fn examine(&mut self, Claim { user, password }: Claim, ctx: &mut Context<'_>) {
        let is_proven = password.is_none();
        let claim = Examined { user, password, hash: None, is_proven, is_asked: false };
        self.claim = Some(Box::new(claim));
        if is_proven {
            self.phase = Phase::Examined;
            return self.handle_verified(false, ctx);
        }
        self.link.set_examined(ctx.out, true);
        self.ask(ctx);
    }

    /// Asks whether a password is right, unless too many want to log in from there: then it is
    /// tried again. Somebody unknown is kept waiting for as long as somebody known.
    pub(super) fn ask(&mut self, ctx: &mut Context<'_>) {
        let Some(claim) = &mut self.claim else { return };
        if let Err(wait) = ctx.failed_logins.open(&self.link.peer.address, ctx.now) {
            let left = (self.opened + ctx.config.handshake_timeout).since(ctx.now);
            return self.enter(Phase::Queued, wait.min(left), ctx);
        }
        let known = ctx.engine.directory().user(&claim.user);
        claim.hash = known.map(|user| user.password_hash.clone());
        let hash = claim.hash.as_ref().filter(|hash| !hash.bytes.is_empty());
        let hash = hash.cloned().unwrap_or_else(|| ctx.config.nobody_hash.clone());
        claim.is_asked = true;
        let password = claim.password.take();
        self.phase = Phase::Examined;
        self.deadline = self.opened + ctx.config.handshake_timeout;
        let password = password.expect("it is asked about once");
        ctx.out.push_back(Output::Verify(self.link.id, password, hash));
    }

    /// Nobody waits for what is found out of a claim any more. Who does not wait for the answer is
    /// as good as refused.
    pub(super) fn forget_claim(&mut self, ctx: &mut Context<'_>) {
        if self.claim.take().is_some_and(|claim| claim.is_asked) {
            ctx.failed_logins.close(&self.link.peer.address);
            ctx.failed_logins.note(&self.link.peer.address, ctx.now);
        }
    }

    /// It was found out whether the client gave the right password.
    pub(crate) fn handle_verified(&mut self, is_right: bool, ctx: &mut Context<'_>) {
        if self.phase != Phase::Examined {
            return;
        }
        let Some(claim) = self.claim.take() else { return };
        if claim.is_asked {
            ctx.failed_logins.close(&self.link.peer.address);
        }
        let checked = claim.check(is_right, &self.link.peer, ctx);
        if !self.link.peer.is_inside {
            ctx.engine.traffic.note_login(checked.is_ok());
        } else if !claim.is_proven {
            ctx.engine.traffic.note_login_inside(checked.is_ok());
        }
        match checked {
            Ok(()) => {
                self.link.user = claim.user;
                let tune = ConnectionTune {
                    channel_max: ctx.config.channel_max,
                    frame_max: ctx.config.frame_max,
                    heartbeat: seconds(ctx.config.heartbeat),
                };
                self.link.send(ctx.out, ctx.now, on_channel(0, tune));
                self.phase = Phase::Tuning;
                self.link.set_examined(ctx.out, false);
            }
            Err(reason) => {
                ctx.engine.mark(Mark::LoginRefused);
                self.report_refusal(&claim.user.to_text(), reason, ctx);
                let delay = ctx.failed_logins.note(&self.link.peer.address, ctx.now);
                if delay.is_zero() {
                    return self.refuse_login(ctx);
                }
                ctx.engine.mark(Mark::RefusalDelayed);
                self.enter(Phase::Refused, delay, ctx);
            }
        }
    }

    /// Tells the client that it may not log in. One that does not expect to be told is cut off
    /// without a word.
    pub(super) fn refuse_login(&mut self, ctx: &mut Context<'_>) {
        self.link.set_examined(ctx.out, false);
        if !self.link.capabilities.authentication_failure_close {
            return self.cut(ctx);
        }
        let text = format!(
            "Login was refused using authentication mechanism {}. For details see the broker \
             logfile.",
            self.mechanism
        );
        let error = AmqpError::new(ReplyCode::AccessRefused, text);
        self.close_with(&Fault::new(error, MethodId::NONE), ctx);
    }

    fn tune(&mut self, tune_ok: &ConnectionTuneOk, ctx: &mut Context<'_>) -> Result<(), Fault> {
        let config = ctx.config;
        let (channel_max, frame_max) = (tune_ok.channel_max.into(), tune_ok.frame_max);
        check_limit("channel_max", channel_max, config.channel_max.into(), 1)?;
        check_limit("frame_max", frame_max, config.frame_max, FRAME_MAX_MIN)?;
        self.channel_max = tune_ok.channel_max;
        self.frame_max = frame_max;
        self.heartbeat = Duration::from_secs(tune_ok.heartbeat.into());
        ctx.out.push_back(Output::FrameMax(self.link.id, frame_max));
        self.phase = Phase::Opening;
        Ok(())
    }

    fn open(&mut self, open: &ConnectionOpen, ctx: &mut Context<'_>) -> Result<(), Fault> {
        let Peer { is_operator, .. } = self.link.peer;
        let entered = ctx.engine.enter(&self.link.user, &open.virtual_host, is_operator);
        self.link.vhost =
            entered.map_err(|refusal| Fault::new(refusal.into(), ConnectionOpen::ID))?;
        self.has_entered = true;
        self.link.send(ctx.out, ctx.now, on_channel(0, ConnectionOpenOk::default()));
        self.phase = Phase::Running;
        if self.link.peer.is_inside {
            return Ok(());
        }
        ctx.out.push_back(Output::Event(Event::ConnectionOpened {
            peer: self.link.peer.name.clone(),
            user: self.link.user.to_string(),
            vhost: open.virtual_host.to_string(),
            client: self.client_name.clone(),
        }));
        Ok(())
    }

    fn report_refusal(&self, user: &str, reason: &'static str, ctx: &mut Context<'_>) {
        ctx.out.push_back(Output::Event(Event::LoginRefused {
            peer: self.link.peer.name.clone(),
            user: user.to_string(),
            reason,
        }));
    }
}

/// Who a client says that it is, while that is found out.
#[derive(Debug)]
pub(super) struct Examined {
    user: ShortStr,
    /// What the client gave, until it is asked whether that is right.
    password: Option<Password>,
    /// What the password is held against, if there is such a user.
    hash: Option<PasswordHash>,
    /// Whether it was proved before.
    is_proven: bool,
    /// Whether it is being found out.
    is_asked: bool,
}

impl Examined {
    /// Whether the claim holds, which may have changed since it was made.
    ///
    /// # Errors
    /// Why it does not, for the log.
    fn check(&self, is_right: bool, peer: &Peer, ctx: &Context<'_>) -> Result<(), &'static str> {
        if peer.is_operator && self.is_proven {
            return Ok(());
        }
        let Some(user) = ctx.engine.directory().user(&self.user) else {
            return Err("no such user");
        };
        if !self.is_proven {
            if self.hash.as_ref().is_none_or(|hash| hash.bytes.is_empty()) {
                return Err("user has no password");
            }
            if !is_right {
                return Err("wrong password");
            }
            if self.hash.as_ref() != Some(&user.password_hash) {
                return Err("password was changed meanwhile");
            }
        }
        if !peer.is_loopback && ctx.config.loopback_users.contains(&self.user) {
            return Err("user may log in from this machine only");
        }
        Ok(())
    }
}

/// What the broker says of itself first.
fn start(config: &Config, mechanisms: Bytes) -> ConnectionStart {
    let text = |text: &str| FieldValue::LongStr(Bytes::copy_from_slice(text.as_bytes()));
    let capabilities = [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ];
    let mut table = FieldTable::default();
    for name in capabilities {
        table.push(ShortStr::from_static(name), FieldValue::Bool(true));
    }
    let mut properties = FieldTable::default();
    properties.push("capabilities".into(), FieldValue::Table(table));
    for (name, value) in [
        ("cluster_name", config.node_name.as_str()),
        ("copyright", "Copyright the Warren contributors"),
        ("information", "Licensed under MIT or Apache 2.0"),
        ("platform", "Rust"),
        ("product", "Warren"),
        ("version", env!("CARGO_PKG_VERSION")),
    ] {
        properties.push(name.into(), text(value));
    }
    ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: properties,
        mechanisms,
        locales: Bytes::from_static(b"en_US"),
    }
}

/// Checks what a client answered to an offer; zero, for no limit, is beyond any limit offered.
fn check_limit(name: &str, answered: u32, offered: u32, min: u32) -> Result<(), Fault> {
    let refuse = |comparison, bound, limit| {
        let text = format!(
            "negotiated {name} = {answered} is {comparison} than the {bound} allowed value \
             ({limit})"
        );
        Err(Fault::new(AmqpError::new(ReplyCode::NotAllowed, text), ConnectionTuneOk::ID))
    };
    if offered != 0 && (answered == 0 || answered > offered) {
        return refuse("higher", "maximum", offered);
    }
    let min = if offered == 0 { min } else { min.min(offered) };
    if answered != 0 && answered < min {
        return refuse("lower", "minimum", min);
    }
    Ok(())
}

fn seconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}
