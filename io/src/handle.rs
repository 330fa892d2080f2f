//! The way to a broker from other threads: to look at it, to tell it what those who run it want,
//! and to connect to it without the network.

use std::future::pending;
use std::io;
use std::os::unix::net::UnixStream;

use tokio::sync::{mpsc, oneshot};
use warren_core::broker::Refusal;
use warren_core::{Broker, Command, ConnectionId, Done, Peer};

use crate::broker_thread::BrokerThread;

/// How many requests may wait; whoever has another waits with it.
const REQUESTS_MAX: usize = 64;

/// What comes of a command.
type Answer = Result<Done, Refusal>;

/// How many bytes were read from a connection, and written to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Octets {
    /// Read.
    pub received: u64,
    /// Written.
    pub sent: u64,
}

/// What is asked of the broker's thread.
pub(crate) enum Request {
    /// To be called with the broker.
    Look(Box<dyn FnOnce(&Broker) + Send>),
    /// To be called with the broker's thread.
    Act(Box<dyn FnOnce(&mut Turn<'_>) + Send>),
    Connect(UnixStream, Peer),
    Octets(Vec<ConnectionId>, oneshot::Sender<Vec<Octets>>),
    AllOctets(oneshot::Sender<Octets>),
}

/// One turn of the broker's thread. What is changed in it is written to the log as one: a crash
/// leaves all of it, or nothing. Nobody else has the broker meanwhile.
pub struct Turn<'a> {
    pub(crate) thread: &'a mut BrokerThread,
}

impl Turn<'_> {
    /// The broker, as what was done in this turn leaves it.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        self.thread.broker()
    }

    /// Has the broker carry out a command.
    pub fn command(&mut self, command: Command) -> Commanded {
        let (sender, answer) = oneshot::channel();
        self.thread.command(command, sender);
        Commanded(answer)
    }
}

/// A command that was given.
#[derive(Debug)]
#[must_use = "it may be refused"]
pub struct Commanded(oneshot::Receiver<Answer>);

impl Commanded {
    /// What came of it, once what it changed is durable.
    ///
    /// # Errors
    /// Why the broker did not carry it out.
    pub async fn answer(self) -> Result<Done, Refusal> {
        match self.0.await {
            Ok(answer) => answer,
            Err(_) => pending().await,
        }
    }
}

/// A handle of a [`Node`](crate::Node), for any thread and runtime of tokio.
///
/// Requests are served one at a time, and what else the broker has to do has its turn in between.
/// A broker that has halted, or stopped, answers nothing any more: whoever asks then waits until
/// the process ends.
#[derive(Clone, Debug)]
pub struct BrokerHandle {
    requests: mpsc::Sender<Request>,
}

impl BrokerHandle {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self { requests }, receiver)
    }

    /// Looks at the broker, between two of its inputs. Everybody waits meanwhile: to look at much,
    /// look often.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Broker) -> T + Send + 'static,
    ) -> T {
        let (sender, answer) = oneshot::channel();
        let look = move |broker: &Broker| {
            // Whoever asked may have gone.
            let _ = sender.send(look(broker));
        };
        self.ask(Request::Look(Box::new(look)), answer).await
    }

    /// Has the broker carry out a command. The answer comes once what it changed is durable.
    ///
    /// # Errors
    /// Why the broker does not.
    pub async fn command(&self, command: Command) -> Answer {
        self.act(move |turn| turn.command(command)).await.answer().await
    }

    /// Has the broker carry out what belongs together. Everybody waits meanwhile.
    pub async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Turn<'_>) -> T + Send + 'static,
    ) -> T {
        let (sender, answer) = oneshot::channel();
        let act = move |turn: &mut Turn<'_>| {
            // Whoever asked may have gone.
            let _ = sender.send(act(turn));
        };
        self.ask(Request::Act(Box::new(act)), answer).await
    }

    /// Connects a client of this process, and gives its end.
    ///
    /// # Errors
    /// When the operating system refuses what it needs.
    pub async fn connect(&self, peer: Peer) -> io::Result<UnixStream> {
        let (ours, its) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        its.set_nonblocking(true)?;
        // Where nobody takes it, the other end finds the stream at its end.
        let _ = self.requests.send(Request::Connect(its, peer)).await;
        Ok(ours)
    }

    /// What came and went on these connections; nothing for those that are gone.
    pub async fn octets(&self, connections: Vec<ConnectionId>) -> Vec<Octets> {
        let (sender, answer) = oneshot::channel();
        self.ask(Request::Octets(connections, sender), answer).await
    }

    /// What came and went on all connections since the start.
    pub async fn all_octets(&self) -> Octets {
        let (sender, answer) = oneshot::channel();
        self.ask(Request::AllOctets(sender), answer).await
    }

    async fn ask<T>(&self, request: Request, answer: oneshot::Receiver<T>) -> T {
        if self.requests.send(request).await.is_ok()
            && let Ok(answer) = answer.await
        {
            return answer;
        }
        pending().await
    }
}
