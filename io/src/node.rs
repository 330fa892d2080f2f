//! A running broker: its tasks, and the handle that starts and stops them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout};
use warren_core::Broker;

use crate::broker_thread::BrokerThread;
use crate::listener::Listener;

/// How long clients have to take their leave when the broker stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// How often a broker that stops looks whether its clients are gone.
const SHUTDOWN_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The runtime that a [`Node`] lives in: one thread.
///
/// # Errors
/// When the operating system refuses what it needs.
pub fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

/// A broker with its connections. All that it does happens on the thread, and within the
/// [`runtime`], that it was started in.
pub struct Node {
    thread: Rc<RefCell<BrokerThread>>,
    listening: Vec<AbortHandle>,
}

impl Node {
    /// Starts the broker. Nobody can connect to it yet.
    ///
    /// # Panics
    /// Outside of a [`runtime`].
    #[must_use]
    pub fn start(broker: Broker) -> Self {
        let thread = Rc::new(RefCell::new(BrokerThread::new(broker)));
        let flushed = Rc::clone(&thread);
        spawn_local(poll_fn(move |cx| flushed.borrow_mut().poll_flusher(cx)));
        let timed = Rc::clone(&thread);
        spawn_local(async move {
            let mut deadline = pin!(tokio::time::sleep_until(Instant::now()));
            poll_fn(|cx| timed.borrow_mut().poll_timer(deadline.as_mut(), cx)).await;
        });
        Self { thread, listening: Vec::new() }
    }

    /// Serves clients that connect to `listener`, until the node is shut down.
    pub fn listen(&mut self, listener: Listener) {
        let thread = Rc::clone(&self.thread);
        let task = spawn_local(async move {
            loop {
                let (stream, peer) = listener.accept().await;
                let id = thread.borrow_mut().connect(stream, peer);
                let thread = Rc::clone(&thread);
                spawn_local(poll_fn(move |cx| thread.borrow_mut().poll_connection(id, cx)));
            }
        });
        self.listening.push(task.abort_handle());
    }

    /// Stops listening, takes leave of the clients with this text, and waits some seconds, at
    /// most, until they are gone. Says whether they are.
    pub async fn shut_down(self, text: String) -> bool {
        for task in &self.listening {
            task.abort();
        }
        self.thread.borrow_mut().shut_down(text);
        let all_gone = async {
            while self.thread.borrow().has_clients() {
                sleep(SHUTDOWN_POLL_INTERVAL).await;
            }
        };
        timeout(SHUTDOWN_TIMEOUT, all_gone).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use warren_core::Config;
    use warren_core::amqp::{
        ConnectionCloseOk, ConnectionOpen, ConnectionStartOk, ConnectionTuneOk, Decoder, Egress,
        Frame, Method, OutFrame, PROTOCOL_HEADER,
    };

    use super::*;

    #[test]
    fn a_client_that_speaks_something_else_is_told_so_and_seen_off() {
        with_node(|node, address| async move {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("no reset");
            assert!(answer.starts_with(b"AMQP"), "{answer:?}");
            drop(stream);
            assert_forgets_clients(&node).await;
        });
    }

    #[test]
    fn clients_that_go_away_halfway_are_forgotten() {
        with_node(|node, address| async move {
            for len in 0..PROTOCOL_HEADER.len() {
                let mut stream = TcpStream::connect(address).await.expect("connected");
                stream.write_all(&PROTOCOL_HEADER[..len]).await.expect("sent");
            }
            let mut client = Client::connect(address).await;
            client.open().await;
            drop(client);
            assert_forgets_clients(&node).await;
        });
    }

    #[test]
    fn clients_are_told_when_the_broker_stops() {
        with_node(|node, address| async move {
            let mut client = Client::connect(address).await;
            client.open().await;
            let node = tokio::task::spawn_local(node.shut_down("out of beer".into()));
            let Method::ConnectionClose(close) = client.receive().await else {
                panic!("not a close")
            };
            assert_eq!(close.reply_code, 320);
            assert!(close.reply_text.as_bytes().ends_with(b"out of beer"), "{close:?}");
            client.send(ConnectionCloseOk::default()).await;
            assert_eq!(client.stream.read(&mut [0]).await.expect("no reset"), 0);
            assert!(node.await.expect("no panic"), "the client had left");
            assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
        });
    }

    #[test]
    fn what_is_sent_in_one_piece_is_read_with_the_frame_size_that_it_agreed_on() {
        with_node(|_node, address| async move {
            let mut client = Client::connect(address).await;
            client.start().await;
            // More than the 8192 bytes that a frame may have before `tune-ok`.
            let long = vec![b'v'; 10_000];
            let update = warren_core::amqp::ConnectionUpdateSecret {
                new_secret: long.into(),
                ..Default::default()
            };
            for method in [tune_ok().into(), open(), update.into()] {
                client.egress.push(&OutFrame::Method(0, method));
            }
            client.flush().await;
            assert!(matches!(client.receive().await, Method::ConnectionOpenOk(_)));
            let answer = client.receive().await;
            assert!(!matches!(&answer, Method::ConnectionClose(close) if close.reply_code == 501));
        });
    }

    async fn assert_forgets_clients(node: &Node) {
        timeout(Duration::from_secs(5), async {
            while node.thread.borrow().has_clients() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("all clients are forgotten");
    }

    fn with_node<F: Future<Output = ()>>(test: impl FnOnce(Node, std::net::SocketAddr) -> F) {
        runtime().expect("a runtime").block_on(async {
            let boot = crate::boot().expect("entropy");
            let mut node = Node::start(Broker::new(Config::default(), boot));
            let listener =
                Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
            let address = listener.address();
            node.listen(listener);
            timeout(Duration::from_secs(20), test(node, address)).await.expect("in time");
        });
    }

    fn tune_ok() -> ConnectionTuneOk {
        ConnectionTuneOk { channel_max: 10, frame_max: 131_072, heartbeat: 0 }
    }

    fn open() -> Method {
        ConnectionOpen { virtual_host: "/".into(), ..Default::default() }.into()
    }

    /// A client: the broker's own codec, the other way round.
    struct Client {
        stream: TcpStream,
        decoder: Decoder,
        egress: Egress,
    }

    impl Client {
        async fn connect(address: std::net::SocketAddr) -> Self {
            let stream = TcpStream::connect(address).await.expect("connected");
            Self { stream, decoder: Decoder::past_header(), egress: Egress::new() }
        }

        async fn open(&mut self) {
            self.start().await;
            self.send(tune_ok()).await;
            self.send(open()).await;
            assert!(matches!(self.receive().await, Method::ConnectionOpenOk(_)));
        }

        async fn start(&mut self) {
            self.egress.push(&OutFrame::ProtocolHeader(PROTOCOL_HEADER));
            self.flush().await;
            assert!(matches!(self.receive().await, Method::ConnectionStart(_)));
            self.send(ConnectionStartOk {
                mechanism: "PLAIN".into(),
                response: "\0guest\0guest".into(),
                locale: "en_US".into(),
                ..Default::default()
            })
            .await;
            assert!(matches!(self.receive().await, Method::ConnectionTune(_)));
        }

        async fn send(&mut self, method: impl Into<Method>) {
            self.egress.push(&OutFrame::Method(0, method.into()));
            self.flush().await;
        }

        async fn flush(&mut self) {
            let bytes: Vec<u8> = self.egress.chunks().flatten().copied().collect();
            self.stream.write_all(&bytes).await.expect("sent");
            self.egress.advance(bytes.len());
        }

        async fn receive(&mut self) -> Method {
            loop {
                match self.decoder.poll().expect("a frame") {
                    Some(Frame::Method(0, method)) => return method,
                    Some(other) => panic!("{other:?}"),
                    None => {
                        let mut buffer = BytesMut::new();
                        let len = self.stream.read_buf(&mut buffer).await.expect("read");
                        assert!(len > 0, "the broker has closed the connection");
                        self.decoder.feed(buffer.freeze());
                    }
                }
            }
        }
    }
}
