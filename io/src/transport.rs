//! What a connection's bytes go over: a socket, TLS on one, or a socket within this process.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// See the [module](self).
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Local(UnixStream),
}

impl Transport {
    /// The socket of the network, whatever is spoken over it, or the other.
    fn socket(&self) -> Result<&TcpStream, &UnixStream> {
        match self {
            Self::Tcp(socket) => Ok(socket),
            Self::Tls(tls) => Ok(tls.get_ref().0),
            Self::Local(socket) => Err(socket),
        }
    }

    /// Whether the socket takes more; if not, the task is woken when it does.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> bool {
        match self.socket() {
            Ok(socket) => socket.poll_write_ready(cx).is_ready(),
            Err(socket) => socket.poll_write_ready(cx).is_ready(),
        }
    }

    /// Waits until the socket takes more.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self.socket() {
            Ok(socket) => socket.writable().await,
            Err(socket) => socket.writable().await,
        }
    }

    /// Waits until something comes.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self.socket() {
            Ok(socket) => socket.readable().await,
            Err(socket) => socket.readable().await,
        }
    }

    /// Reads once what comes over the socket, whatever it means.
    pub(crate) fn try_read_raw(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.socket() {
            Ok(socket) => socket.try_read(buffer),
            Err(socket) => socket.try_read(buffer),
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
        match self {
            Self::Tcp(socket) => pin!(socket.read_buf(&mut buffer.limit(len_max))).poll(cx),
            Self::Local(socket) => pin!(socket.read_buf(&mut buffer.limit(len_max))).poll(cx),
            Self::Tls(tls) => poll_read_records(tls, cx, buffer, len_max),
        }
    }

    /// Whether there may be more to read now; if not, the task is woken when there is.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Tcp(socket) => socket.poll_read_ready(cx).is_ready(),
            Self::Local(socket) => socket.poll_read_ready(cx).is_ready(),
            // What was received and not read yet is not the socket's any more: reading tells.
            Self::Tls(_) => true,
        }
    }

    /// One write of these pieces; `WouldBlock` when no more is taken now, and the waker's task is
    /// then woken when it is, if it is TLS.
    pub(crate) fn try_write(&mut self, pieces: &[IoSlice<'_>], waker: &Waker) -> io::Result<usize> {
        let written = match self {
            Self::Tcp(socket) => socket.try_write_vectored(pieces),
            Self::Local(socket) => socket.try_write_vectored(pieces),
            Self::Tls(tls) => {
                let mut cx = Context::from_waker(waker);
                unless_pending(Pin::new(tls.as_mut()).poll_write_vectored(&mut cx, pieces))
            }
        };
        match written {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            result => result,
        }
    }

    /// Hands the socket what was taken from it and not sent yet. `WouldBlock` as in
    /// [`Self::try_write`].
    pub(crate) fn try_flush(&mut self, waker: &Waker) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Local(_) => Ok(()),
            Self::Tls(tls) => {
                let mut cx = Context::from_waker(waker);
                unless_pending(Pin::new(tls.as_mut()).poll_flush(&mut cx))
            }
        }
    }

    /// Sends the end of the stream, behind everything that was written.
    pub(crate) async fn shut_down(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown().await,
            Self::Local(socket) => socket.shutdown().await,
            Self::Tls(tls) => tls.shutdown().await,
        }
    }
}

/// Reads as many records as there are and as there is room for: one at a time would be a turn for
/// each.
fn poll_read_records(
    tls: &mut TlsStream<TcpStream>,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
    len_max: usize,
) -> Poll<io::Result<usize>> {
    let mut len = 0;
    while len < len_max {
        match pin!(tls.read_buf(&mut (&mut *buffer).limit(len_max - len))).poll(cx) {
            Poll::Ready(Ok(more @ 1..)) => len += more,
            // The end, or an error, comes again when it is read for the next time.
            _ if len > 0 => break,
            result => return result,
        }
    }
    Poll::Ready(Ok(len))
}

fn unless_pending<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
