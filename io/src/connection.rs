//! One client's socket, with the codec on either side of it.
//!
//! An idle connection holds no buffer: reads go to a buffer that all connections share, and an
//! empty egress has no memory. A connection never looks at what it carries.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;
use warren_core::ConnectionId;
use warren_core::amqp::{Decoder, Egress, EgressRooms};

use crate::handle::Octets;
use crate::pace::Pace;
use crate::transport::Transport;

/// How long a client may take to receive what is left for it.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to close its end, once it can have received everything.
const LINGER_TIMEOUT: Duration = Duration::from_secs(3);

/// The most pieces that one write takes.
const PIECES_MAX: usize = 64;

/// A client's socket and codec.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) decoder: Decoder,
    pub(crate) egress: Egress,
    /// Whether its frame size has been agreed. Before, each frame may change how the next is read.
    pub(crate) is_tuned: bool,
    /// Whether nothing is to be read from it.
    pub(crate) is_paused: bool,
    /// Whether its socket took no more; its own task waits until it does again.
    pub(crate) is_blocked: bool,
    /// Whether it is on the list of connections to flush.
    pub(crate) is_touched: bool,
    /// How much is read from it at once.
    pub(crate) pace: Pace,
    /// What came and went on it.
    pub(crate) octets: Octets,
    stream: Transport,
    waker: Option<Waker>,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, stream: Transport) -> Self {
        Self {
            id,
            decoder: Decoder::new(),
            egress: Egress::new(),
            is_tuned: false,
            is_paused: false,
            is_blocked: false,
            is_touched: false,
            pace: Pace::default(),
            octets: Octets::default(),
            stream,
            waker: None,
        }
    }

    /// Remembers whom to wake for this connection.
    pub(crate) fn set_task(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }

    /// Gives the connection's own task a turn.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Reads once, at most `len_max` bytes, to the end of `buffer`. Gives how many; zero is the
    /// end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        len_max: usize,
    ) -> Poll<io::Result<usize>> {
        let read = self.stream.poll_read(cx, buffer, len_max);
        if let Poll::Ready(Ok(len)) = read {
            self.octets.received += len as u64;
        }
        read
    }

    /// Whether there may be more to read now; if not, the task is woken when there is.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> bool {
        self.stream.poll_readable(cx)
    }

    /// Whether the socket takes more again; if not, the task is woken when it does. An error shows
    /// itself when it is written to.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> bool {
        self.stream.poll_writable(cx)
    }

    /// Writes as much of the egress as the socket takes, and says how many bytes that was. Its
    /// memory goes to these rooms when it is empty. When some are left, there or in the transport,
    /// the connection is blocked.
    ///
    /// # Errors
    /// The socket's: the connection is then of no more use.
    pub(crate) fn write(&mut self, rooms: &mut EgressRooms) -> io::Result<usize> {
        let len_before = self.egress.len();
        let waker = self.waker.as_ref().unwrap_or(Waker::noop());
        let result = loop {
            if self.egress.is_empty() {
                break self.stream.try_flush(waker);
            }
            match try_write(&mut self.stream, &self.egress, waker) {
                Ok(written) => self.egress.advance_in(written, rooms),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => break Err(error),
            }
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_blocked = true,
            result => result?,
        }
        let written = len_before - self.egress.len();
        self.octets.sent += written as u64;
        Ok(written)
    }

    /// Sends what waits, and the end of the stream behind it; gives up after some seconds. Says
    /// whether the client can have received it all.
    pub(crate) async fn finish(&mut self) -> bool {
        let finished = async {
            while !self.egress.is_empty() {
                self.stream.writable().await?;
                self.write(&mut EgressRooms::default())?;
            }
            self.stream.shut_down().await
        };
        matches!(timeout(FINISH_TIMEOUT, finished).await, Ok(Ok(())))
    }

    /// Drops what the client still sends until it closes its end; gives up after some seconds.
    ///
    /// A socket that is closed with unread bytes is reset, and a reset can overtake what was sent
    /// before it.
    pub(crate) async fn linger(self) {
        let ended = async {
            while discard(&self.stream)? {
                self.stream.readable().await?;
            }
            io::Result::Ok(())
        };
        // However it ends, there is nobody left to be told.
        let _ = timeout(LINGER_TIMEOUT, ended).await;
    }
}

/// One write of what waits.
fn try_write(stream: &mut Transport, egress: &Egress, waker: &Waker) -> io::Result<usize> {
    let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
    let mut count = 0;
    for (piece, chunk) in pieces.iter_mut().zip(egress.chunks()) {
        *piece = IoSlice::new(chunk);
        count += 1;
    }
    stream.try_write(&pieces[..count], waker)
}

/// Reads once and forgets it; `false` at the end of the stream.
fn discard(stream: &Transport) -> io::Result<bool> {
    match stream.try_read_raw(&mut [0; 8192]) {
        Ok(len) => Ok(len > 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use warren_core::amqp::{OutFrame, PROTOCOL_HEADER};
    use warren_core::{Boot, Broker, Config, Instant, Peer};

    use super::*;

    const HEADER: OutFrame = OutFrame::ProtocolHeader(PROTOCOL_HEADER);

    #[test]
    fn what_waits_arrives_even_if_the_client_was_still_sending() {
        with_pair(|connection, mut client| async move {
            let mut connection = connection;
            connection.egress.push(&HEADER);
            client.write_all(&[1; 100_000]).await.expect("sent");
            let closed = tokio::task::spawn_local(async move {
                assert!(connection.finish().await);
                connection.linger().await;
            });
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.expect("no reset");
            assert_eq!(received, PROTOCOL_HEADER);
            drop(client);
            closed.await.expect("closed");
        });
    }

    #[test]
    fn a_client_that_takes_nothing_does_not_hold_up_its_closing_for_long() {
        with_pair(|connection, client| async move {
            let mut connection = connection;
            fill(&mut connection).await;
            tokio::time::pause();
            let before = tokio::time::Instant::now();
            assert!(!connection.finish().await);
            assert_eq!(before.elapsed().as_secs(), FINISH_TIMEOUT.as_secs());
            drop(client);
        });
    }

    #[test]
    fn a_full_socket_blocks_the_connection_and_loses_nothing() {
        with_pair(|connection, mut client| async move {
            let mut connection = connection;
            let sent = fill(&mut connection).await + connection.egress.len();
            let received = tokio::task::spawn_local(async move {
                let mut received = Vec::new();
                client.read_to_end(&mut received).await.expect("no reset");
                received
            });
            while !connection.egress.is_empty() {
                connection.stream.writable().await.expect("connected");
                connection.write(&mut EgressRooms::default()).expect("the client is there");
            }
            drop(connection);
            let received = received.await.expect("no panic");
            assert_eq!(received.len(), sent);
            assert!(received.chunks(8).all(|header| header == PROTOCOL_HEADER));
        });
    }

    #[test]
    fn a_connection_without_work_is_small() {
        assert!(size_of::<Connection>() <= 320, "{} bytes", size_of::<Connection>());
    }

    /// Writes until the socket takes no more; gives how many bytes it took.
    async fn fill(connection: &mut Connection) -> usize {
        connection.stream.writable().await.expect("connected");
        let mut written = 0;
        while !connection.is_blocked {
            for _ in 0..10_000 {
                connection.egress.push(&HEADER);
            }
            written += connection.write(&mut EgressRooms::default()).expect("the client is there");
        }
        assert!(!connection.egress.is_empty());
        written
    }

    fn with_pair<F: Future<Output = ()>>(test: impl FnOnce(Connection, TcpStream) -> F) {
        crate::runtime().expect("a runtime").block_on(async {
            let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
            let listener = TcpListener::bind(any).await.expect("bound");
            let client = TcpStream::connect(listener.local_addr().expect("bound"));
            let (client, accepted) = tokio::join!(client, listener.accept());
            let mut broker =
                Broker::new(Config::default(), Boot { seed: [1, 2], clock_origin_ms: 0 });
            let peer = Peer { is_loopback: true, ..Peer::default() };
            let id = broker.connect(Instant::default(), peer);
            let transport = Transport::Tcp(accepted.expect("accepted").0);
            test(Connection::new(id, transport), client.expect("connected")).await;
        });
    }
}
