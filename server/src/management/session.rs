//! A session of AMQP in the name of who makes a request, within this process.
//!
//! What a request changes in the world of queues and exchanges goes this way, so that it is
//! checked, carried out and answered as it is for any client: permissions, limits, texts of errors,
//! and that an answer comes when what it says is durable.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use warren_core::Peer;
use warren_core::amqp::{
    BasicPublish, CLASS_BASIC, ChannelCloseOk, ChannelOpen, ConnectionClose, ConnectionOpen,
    ConnectionStartOk, ConnectionTuneOk, DecodeError, Decoder, FRAME_END, FieldTable, FieldValue,
    Frame, Method, PROTOCOL_HEADER, Properties, ShortStr,
};
use warren_io::BrokerHandle;

use super::auth::Principal;
use super::call::Failure;

/// The only channel.
const CHANNEL: u16 = 1;

/// What the names of all sessions end with: no other connection is called so.
pub(super) const NAME_END: &str = " -> management";

/// The frames of a content, beside methods.
const KIND_METHOD: u8 = 1;
const KIND_HEADER: u8 = 2;
const KIND_BODY: u8 = 3;

/// What a frame has beside its payload.
const FRAME_OVERHEAD: usize = 8;
const FRAME_MAX: u32 = 131_072;

/// Why the broker did not do something: the code and text of its `close`.
#[derive(Debug)]
pub(super) struct Refused {
    code: u16,
    text: String,
}

impl Refused {
    fn new(code: u16, text: &ShortStr) -> Self {
        Self { code, text: text.to_text().into_owned() }
    }

    fn lost(error: impl ToString) -> Self {
        Self { code: 541, text: format!("INTERNAL_ERROR - {}", error.to_string()) }
    }

    /// As RabbitMQ has it where something is declared, bound or deleted: without code and name.
    pub(super) fn into_plain(self) -> Failure {
        let text = self.text.split_once(" - ").map_or(&*self.text, |(_, text)| text).to_owned();
        match self.code {
            404 => Failure::not_found(text),
            403 | 530 => Failure::not_authorised("Access refused."),
            541 => Failure::unavailable(text),
            _ => Failure::bad_request(text),
        }
    }
}

/// As RabbitMQ has it where messages are published and asked for.
impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused.code {
            404 => Failure::not_found(refused.text),
            403 => Failure::not_authorised(refused.text),
            541 => Failure::unavailable(refused.text),
            code => Failure::bad_request(format!("{code} {}", refused.text)),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::lost(error)
    }
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        Self::lost(error)
    }
}

/// A message as the broker hands it out.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) properties: Properties,
    pub(super) body: Bytes,
}

/// A session with one channel open.
pub(super) struct Session {
    stream: UnixStream,
    decoder: Decoder,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl Session {
    /// Opens one in a virtual host.
    ///
    /// # Errors
    /// When the user may not.
    pub(super) async fn open(
        broker: &BrokerHandle,
        user: &Principal,
        vhost: &ShortStr,
    ) -> Result<Self, Refused> {
        let peer = Peer {
            name: format!("{}{NAME_END}", user.name),
            is_loopback: user.is_loopback,
            is_inside: true,
            external: Some(user.name.to_text().into_owned()),
            is_operator: user.is_operator,
            ..Peer::default()
        };
        let mechanism = ShortStr::from_static("EXTERNAL");
        let mut session = Self::greet(broker, peer, mechanism, Bytes::new()).await?;
        let tune_ok = ConnectionTuneOk { channel_max: 1, frame_max: FRAME_MAX, heartbeat: 0 };
        session.push(0, &tune_ok.into());
        let virtual_host = vhost.clone();
        session.call_on(0, ConnectionOpen { virtual_host, ..Default::default() }).await?;
        session.call(ChannelOpen::default()).await?;
        Ok(session)
    }

    /// Whether a client may log in who comes from this address with this name and password: the
    /// broker finds it out as it does for AMQP, and keeps who fails time and again waiting.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub(super) async fn log_in(
        broker: &BrokerHandle,
        address: &str,
        user: &ShortStr,
        password: &[u8],
    ) -> Result<bool, Refused> {
        let peer = Peer {
            name: format!("{address}{NAME_END}"),
            // Who may log in from this machine only is for the API to say.
            is_loopback: true,
            is_inside: true,
            address: address.to_owned(),
            ..Peer::default()
        };
        let response = [b"\0", user.as_bytes(), b"\0", password].concat();
        let mechanism = ShortStr::from_static("PLAIN");
        match Self::greet(broker, peer, mechanism, response.into()).await {
            Ok(mut session) => {
                session.take_leave(ConnectionClose { reply_code: 200, ..Default::default() });
                Ok(true)
            }
            Err(refused) if refused.code == 403 => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    /// Connects, and logs in.
    async fn greet(
        broker: &BrokerHandle,
        peer: Peer,
        mechanism: ShortStr,
        response: Bytes,
    ) -> Result<Self, Refused> {
        let stream = UnixStream::from_std(broker.connect(peer).await?)?;
        let (incoming, outgoing) = (BytesMut::new(), BytesMut::new());
        let mut session = Self { stream, decoder: Decoder::past_header(), incoming, outgoing };
        session.outgoing.put_slice(&PROTOCOL_HEADER);
        session.flush().await?;
        session.receive().await?;
        let mut capabilities = FieldTable::default();
        let closes = ShortStr::from_static("authentication_failure_close");
        capabilities.push(closes, FieldValue::Bool(true));
        let mut client_properties = FieldTable::default();
        let own = ShortStr::from_static("capabilities");
        client_properties.push(own, FieldValue::Table(capabilities));
        let start_ok = ConnectionStartOk {
            client_properties,
            mechanism,
            response,
            locale: ShortStr::from_static("en_US"),
        };
        session.call_on(0, start_ok).await?;
        Ok(session)
    }

    /// Ends it; all that was asked is through before.
    ///
    /// # Errors
    /// When something that was asked for before is refused only now.
    pub(super) async fn close(mut self) -> Result<(), Refused> {
        let close = ConnectionClose { reply_code: 200, ..Default::default() };
        self.call_on(0, close).await.map(drop)
    }

    /// Has the broker carry out a method, and gives its answer.
    ///
    /// # Errors
    /// When the broker refuses.
    pub(super) async fn call(&mut self, method: impl Into<Method>) -> Result<Method, Refused> {
        self.call_on(CHANNEL, method).await
    }

    /// Has the broker carry out methods of which each has an answer, without waiting for one after
    /// the other.
    ///
    /// # Errors
    /// When the broker refuses one: those before it were carried out.
    pub(super) async fn call_all(&mut self, methods: Vec<Method>) -> Result<(), Refused> {
        for method in &methods {
            self.push(CHANNEL, method);
        }
        self.flush().await?;
        for _ in &methods {
            self.receive().await?;
        }
        Ok(())
    }

    async fn call_on(
        &mut self,
        channel: u16,
        method: impl Into<Method>,
    ) -> Result<Method, Refused> {
        self.push(channel, &method.into());
        self.flush().await?;
        self.receive().await
    }

    /// Sends a method that has no answer, with the next that has.
    pub(super) fn cast(&mut self, method: impl Into<Method>) {
        self.push(CHANNEL, &method.into());
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the session is gone.
    pub(super) async fn publish(
        &mut self,
        publish: BasicPublish,
        properties: &Properties,
        body: &[u8],
    ) -> Result<(), Refused> {
        self.push(CHANNEL, &publish.into());
        self.frame(KIND_HEADER, CHANNEL, |out| {
            out.put_u16(CLASS_BASIC);
            out.put_u16(0);
            out.put_u64(body.len() as u64);
            out.put_slice(properties.wire());
        });
        for piece in body.chunks(FRAME_MAX as usize - FRAME_OVERHEAD) {
            self.frame(KIND_BODY, CHANNEL, |out| out.put_slice(piece));
        }
        self.flush().await
    }

    /// The content of the method that came last.
    ///
    /// # Errors
    /// When the session is gone.
    pub(super) async fn content(&mut self) -> Result<Content, Refused> {
        let Frame::Header(_, header) = self.frame_in().await? else {
            return Err(Refused::lost("a content has no header"));
        };
        let mut body = BytesMut::new();
        while (body.len() as u64) < header.body_size {
            let Frame::Body(_, piece) = self.frame_in().await? else {
                return Err(Refused::lost("a content is interrupted"));
            };
            body.put_slice(&piece);
        }
        Ok(Content { properties: header.properties, body: body.freeze() })
    }

    /// The next method.
    ///
    /// # Errors
    /// When it is that the channel or the connection ends.
    pub(super) async fn receive(&mut self) -> Result<Method, Refused> {
        loop {
            if let Frame::Method(_, method) = self.next_frame().await? {
                return Ok(method);
            }
        }
    }

    /// What comes next, once all is sent that was to be.
    ///
    /// # Errors
    /// When it is that the channel or the connection ends.
    pub(super) async fn next_frame(&mut self) -> Result<Frame, Refused> {
        self.flush().await?;
        match self.frame_in().await? {
            Frame::Method(_, Method::ChannelClose(close)) => {
                self.cast(ChannelCloseOk {});
                let refused = Refused::new(close.reply_code, &close.reply_text);
                self.take_leave(ConnectionClose { reply_code: 200, ..Default::default() });
                Err(refused)
            }
            Frame::Method(_, Method::ConnectionClose(close)) => {
                let refused = Refused::new(close.reply_code, &close.reply_text);
                self.take_leave(warren_core::amqp::ConnectionCloseOk {});
                Err(refused)
            }
            frame => Ok(frame),
        }
    }

    /// Says goodbye, if that goes at once; the broker need not be told more than that.
    fn take_leave(&mut self, method: impl Into<Method>) {
        self.push(0, &method.into());
        let _ = self.stream.try_write(&self.outgoing);
    }

    fn push(&mut self, channel: u16, method: &Method) {
        self.frame(KIND_METHOD, channel, |out| method.write(out));
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: impl FnOnce(&mut BytesMut)) {
        let out = &mut self.outgoing;
        out.put_u8(kind);
        out.put_u16(channel);
        let at = out.len();
        out.put_u32(0);
        payload(out);
        let len = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
        out.put_u8(FRAME_END);
    }

    async fn flush(&mut self) -> Result<(), Refused> {
        self.stream.write_all_buf(&mut self.outgoing).await?;
        Ok(())
    }

    async fn frame_in(&mut self) -> Result<Frame, Refused> {
        loop {
            if let Some(frame) = self.decoder.poll()? {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(Refused::lost("the broker has closed the session"));
            }
            self.decoder.feed(self.incoming.split().freeze());
        }
    }
}
