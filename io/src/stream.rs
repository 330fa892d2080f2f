//! What the bytes of a connection come and go on.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// A stream of a client, whatever it is made of.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// One within this machine, or this process.
    Local(UnixStream),
}

impl Stream {
    /// Reads once, to the end of `buffer`. Gives how many bytes; zero is the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => pin!(stream.read_buf(buffer)).poll(cx),
            Self::Local(stream) => pin!(stream.read_buf(buffer)).poll(cx),
        }
    }

    /// Whether there may be something to read; if not, the task is woken when there is.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Local(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Whether it may take something; if not, the task is woken when it does.
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Local(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Writes once, without waiting.
    pub(crate) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(pieces),
            Self::Local(stream) => stream.try_write_vectored(pieces),
        }
    }

    /// Reads once, without waiting.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Local(stream) => stream.try_read(buffer),
        }
    }

    /// Waits until there may be something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Local(stream) => stream.readable().await,
        }
    }

    /// Waits until it may take something.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Local(stream) => stream.writable().await,
        }
    }

    /// Says that nothing more comes.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown().await,
            Self::Local(stream) => stream.shutdown().await,
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}
