//! A running broker: its tasks, and the handle that starts and stops them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{AbortHandle, spawn_local, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};
use warren_core::Broker;
use warren_recorder::Recorder;

use crate::broker_thread::{BrokerThread, Question};
use crate::disk::{Disk, SpaceWatch};
use crate::halt::Halt;
use crate::handle::BrokerHandle;
use crate::listener::Listener;
use crate::password::Hasher;

/// How long clients have to take their leave when the broker stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// How long the log may take to be closed when the clients are gone, and after how long of it that
/// is worth a word.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);
const CLOSE_NOTICE: Duration = Duration::from_secs(1);

/// How often a broker that stops looks whether it has got there.
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
    halt: Rc<Halt>,
    handle: BrokerHandle,
    hasher: Hasher,
    listening: Vec<AbortHandle>,
    _space: Option<SpaceWatch>,
}

/// How a node stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Whether all clients took their leave; those who did not were cut off.
    pub all_left: bool,
    /// Whether all that is to be on disk is there, and the log is closed.
    pub is_closed: bool,
}

impl Node {
    /// Starts a broker that keeps everything in memory. Nobody can connect to it yet.
    ///
    /// # Panics
    /// Outside of a [`runtime`].
    #[must_use]
    pub fn start(broker: Broker) -> Self {
        let (questions, asked) = unbounded_channel();
        let thread = BrokerThread::new(broker, None, Recorder::default(), questions);
        Self::run(thread, asked, None)
    }

    /// Starts a broker that was recovered from this disk, and reports the free space to it. The
    /// recorder has seen the recovery. Nobody can connect to it yet.
    ///
    /// # Errors
    /// When the operating system refuses what it needs.
    ///
    /// # Panics
    /// Outside of a [`runtime`].
    pub fn start_on(disk: Disk, broker: Broker, recorder: Recorder) -> io::Result<Self> {
        let (requests, mut results) = disk.split();
        requests.set_free_min(broker.resource_limits().disk_free_min.unwrap_or(0));
        let space = requests.watch_space()?;
        let (questions, asked) = unbounded_channel();
        let thread = BrokerThread::new(broker, Some(requests), recorder, questions);
        let node = Self::run(thread, asked, Some(space));
        let thread = Rc::clone(&node.thread);
        spawn_local(async move {
            let mut inputs = Vec::new();
            loop {
                results.next(&mut inputs).await;
                thread.borrow_mut().take_results(inputs.drain(..));
            }
        });
        Ok(node)
    }

    fn run(
        thread: BrokerThread,
        asked: UnboundedReceiver<Question>,
        space: Option<SpaceWatch>,
    ) -> Self {
        let halt = thread.halt();
        let thread = Rc::new(RefCell::new(thread));
        let flushed = Rc::clone(&thread);
        spawn_local(poll_fn(move |cx| flushed.borrow_mut().poll_flusher(cx)));
        let timed = Rc::clone(&thread);
        spawn_local(async move {
            let mut deadline = pin!(tokio::time::sleep_until(Instant::now()));
            poll_fn(|cx| timed.borrow_mut().poll_timer(deadline.as_mut(), cx)).await;
        });
        let (handle, mut requests) = BrokerHandle::new();
        let served = Rc::clone(&thread);
        spawn_local(async move {
            while let Some(request) = requests.recv().await {
                let connected = served.borrow_mut().serve(request);
                if let Some(id) = connected {
                    let thread = Rc::clone(&served);
                    spawn_local(poll_fn(move |cx| thread.borrow_mut().poll_connection(id, cx)));
                }
                // Others have their turn, however much is asked.
                yield_now().await;
            }
        });
        let hasher = Hasher::default();
        spawn_local(look_at_passwords(asked, hasher.clone(), Rc::clone(&thread)));
        Self { thread, halt, handle, hasher, listening: Vec::new(), _space: space }
    }

    /// What computes hashes of passwords.
    #[must_use]
    pub fn hasher(&self) -> Hasher {
        self.hasher.clone()
    }

    /// Serves clients that connect to `listener`, until the node is shut down.
    pub fn listen(&mut self, listener: Listener) {
        let thread = Rc::clone(&self.thread);
        let task = spawn_local(async move {
            let listener = Rc::new(listener);
            loop {
                let (socket, from) = listener.accept().await;
                spawn_local(greet(Rc::clone(&thread), Rc::clone(&listener), socket, from));
            }
        });
        self.listening.push(task.abort_handle());
    }

    /// The way to the broker from other threads.
    #[must_use]
    pub fn handle(&self) -> BrokerHandle {
        self.handle.clone()
    }

    /// Waits until the broker can no longer keep its promises, and says why. From that moment on it
    /// does nothing any more; the process has to end, with an error.
    pub async fn halted(&self) -> String {
        self.halt.reason().await
    }

    /// Stops listening, takes leave of the clients with this text, waits some seconds, at most,
    /// until they are gone, and then until the log is closed. A broker that has halted does not
    /// get there: wait for [`Self::halted`] too.
    pub async fn shut_down(&self, text: String) -> Shutdown {
        for task in &self.listening {
            task.abort();
        }
        self.thread.borrow_mut().shut_down(text);
        let all_gone = self.until(|thread| !thread.has_clients());
        let all_left = timeout(SHUTDOWN_TIMEOUT, all_gone).await.is_ok();
        if !all_left {
            warn!("some clients did not take their leave in time: they are cut off");
            self.thread.borrow_mut().cut_off();
        }
        let is_closed = async {
            if timeout(CLOSE_NOTICE, self.until(BrokerThread::is_stopped)).await.is_err() {
                info!("waiting until everything is on disk");
                self.until(BrokerThread::is_stopped).await;
            }
        };
        let is_closed = timeout(CLOSE_TIMEOUT, is_closed).await.is_ok();
        if !is_closed {
            warn!("not everything is on disk yet; the next start finds out what is");
        }
        Shutdown { all_left, is_closed }
    }

    async fn until(&self, condition: impl Fn(&BrokerThread) -> bool) {
        while !condition(&self.thread.borrow()) {
            sleep(SHUTDOWN_POLL_INTERVAL).await;
        }
    }
}

/// Does what comes before AMQP, and has the broker serve who gets through it. That is a task of its
/// own, as this one is larger than what a connection may take that does nothing.
async fn greet(
    thread: Rc<RefCell<BrokerThread>>,
    listener: Rc<Listener>,
    socket: TcpStream,
    from: SocketAddr,
) {
    let Some((stream, peer)) = listener.greet(socket, from).await else { return };
    let id = thread.borrow_mut().connect(stream, peer);
    spawn_local(poll_fn(move |cx| thread.borrow_mut().poll_connection(id, cx)));
}

/// Finds out whether the passwords that clients give are right, and tells the broker.
async fn look_at_passwords(
    mut asked: UnboundedReceiver<Question>,
    hasher: Hasher,
    thread: Rc<RefCell<BrokerThread>>,
) {
    while let Some((id, password, hash)) = asked.recv().await {
        let (hasher, thread) = (hasher.clone(), Rc::clone(&thread));
        spawn_local(async move {
            let is_right = hasher.is_right(password, hash).await;
            thread.borrow_mut().take_verified(id, is_right);
        });
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use warren_core::Config;
    use warren_core::amqp::{
        ChannelOpen, ConnectionCloseOk, ConnectionOpen, ConnectionStartOk, ConnectionTuneOk,
        Decoder, Egress, Frame, Method, OutFrame, PROTOCOL_HEADER,
    };

    use super::*;
    use crate::recover;

    const LOCAL: &str = "127.0.0.1:0";

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
            let stopping = async move { node.shut_down("out of beer".into()).await };
            let stopping = tokio::task::spawn_local(stopping);
            let Method::ConnectionClose(close) = client.receive().await else {
                panic!("not a close")
            };
            assert_eq!(close.reply_code, 320);
            assert!(close.reply_text.as_bytes().ends_with(b"out of beer"), "{close:?}");
            client.send(ConnectionCloseOk::default()).await;
            assert_eq!(client.stream.read(&mut [0]).await.expect("no reset"), 0);
            let expected = Shutdown { all_left: true, is_closed: true };
            assert_eq!(stopping.await.expect("no panic"), expected);
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

    #[test]
    fn after_a_halt_nothing_is_sent_and_nobody_is_served() {
        with_node(|node, address| async move {
            let mut client = Client::connect(address).await;
            client.open().await;
            node.halt.set("the disk is gone".into());
            node.halt.set("and more is wrong".into());
            assert_eq!(node.halted().await, "the disk is gone");
            client.send(ChannelOpen::default()).await;
            let mut other = TcpStream::connect(address).await.expect("connected");
            other.write_all(&PROTOCOL_HEADER).await.expect("sent");
            for stream in [&mut client.stream, &mut other] {
                let read = timeout(Duration::from_millis(200), stream.read_u8()).await;
                assert!(read.is_err(), "{read:?}");
            }
        });
    }

    #[test]
    fn whoever_waits_learns_of_a_halt() {
        with_node(|node, _| async move {
            let halt = Rc::clone(&node.halt);
            let waiting = spawn_local(async move { node.halted().await });
            tokio::task::yield_now().await;
            halt.set("the disk is gone".into());
            assert_eq!(waiting.await.expect("no panic"), "the disk is gone");
        });
    }

    #[test]
    fn clients_that_do_not_leave_are_cut_off() {
        with_node(|node, address| async move {
            let mut client = Client::connect(address).await;
            client.open().await;
            node.thread.borrow_mut().shut_down("out of beer".into());
            let Method::ConnectionClose(_) = client.receive().await else { panic!("not a close") };
            assert!(!node.thread.borrow().is_stopped());
            node.thread.borrow_mut().cut_off();
            assert!(node.thread.borrow().is_stopped());
            assert_eq!(client.stream.read(&mut [0]).await.expect("no reset"), 0);
        });
    }

    #[test]
    fn a_node_on_a_disk_serves_and_leaves_the_disk_to_the_next() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        for _ in 0..2 {
            runtime().expect("a runtime").block_on(async {
                let boot = crate::boot().expect("entropy");
                let disk = opened(dir.path());
                let config = Config::default();
                let mut recorder = Recorder::default();
                let recovered = recover(disk, config, boot, &mut recorder, |_| ()).await;
                let (broker, disk) = recovered.expect("is whole");
                let mut node = Node::start_on(disk, broker, recorder).expect("threads");
                let listener = Listener::bind(LOCAL.parse().expect("an address")).expect("bound");
                let address = listener.address();
                node.listen(listener);
                let mut client = Client::connect(address).await;
                client.open().await;
                drop(client);
                let stopped = node.shut_down("done".into()).await;
                assert_eq!(stopped, Shutdown { all_left: true, is_closed: true });
            });
        }
    }

    /// The threads of a disk that was dropped let go of it in their own time.
    fn opened(dir: &std::path::Path) -> Disk {
        let start = std::time::Instant::now();
        loop {
            match Disk::open(dir) {
                Ok(disk) => return disk,
                Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
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
            let listener = Listener::bind(LOCAL.parse().expect("an address")).expect("bound");
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
