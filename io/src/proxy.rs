//! The PROXY protocol, versions 1 and 2: a header by which a proxy says who connects through it.
//!
//! Exactly the header is taken from the socket: what is behind it is the client's, perhaps TLS.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest header of version 1, with its end.
const V1_LEN_MAX: usize = 107;

/// Of a header of version 2: up to the length of the rest.
const V2_PREFIX_LEN: usize = 16;

/// Reads the header. Gives who connects and to where, unless the proxy speaks for itself, as for a
/// health check.
///
/// # Errors
/// When something else stands there, or the socket ends.
pub(crate) async fn read_header(
    socket: &mut TcpStream,
) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    let mut header = vec![socket.read_u8().await?];
    match header[0] {
        b'P' => read_line(socket, &mut header).await?,
        b'\r' => read_binary(socket, &mut header).await?,
        _ => return Err(no_header()),
    }
    let (header, _) =
        ProxyHeader::parse(&header, ParseConfig::default()).map_err(|_| no_header())?;
    Ok(header.proxied_address().map(|address| (address.source, address.destination)))
}

/// Version 1: a line.
async fn read_line(socket: &mut TcpStream, header: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; V1_LEN_MAX];
    while !header.ends_with(b"\n") {
        let room = V1_LEN_MAX - header.len();
        let len = socket.peek(&mut piece[..room]).await?;
        if len == 0 {
            return Err(if room == 0 { no_header() } else { io::ErrorKind::UnexpectedEof.into() });
        }
        let end = piece[..len].iter().position(|byte| *byte == b'\n');
        let piece = &mut piece[..end.map_or(len, |end| end + 1)];
        // It is there: this does not wait.
        socket.read_exact(piece).await?;
        header.extend_from_slice(piece);
    }
    Ok(())
}

/// Version 2: a prefix with the length of the rest.
async fn read_binary(socket: &mut TcpStream, header: &mut Vec<u8>) -> io::Result<()> {
    header.resize(V2_PREFIX_LEN, 0);
    socket.read_exact(&mut header[1..]).await?;
    let len = u16::from_be_bytes([header[14], header[15]]);
    header.resize(V2_PREFIX_LEN + usize::from(len), 0);
    socket.read_exact(&mut header[V2_PREFIX_LEN..]).await?;
    Ok(())
}

fn no_header() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")
}

#[cfg(test)]
mod tests {
    use proxy_header::ProxiedAddress;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_header_is_read_and_nothing_behind_it() {
        let address = ProxiedAddress::stream(
            "[2001:db8::1]:1234".parse().expect("an address"),
            "[2001:db8::2]:5672".parse().expect("an address"),
        );
        let expected = Some((address.source, address.destination));
        let header = ProxyHeader::with_address(address);
        let (mut v1, mut v2) = (Vec::new(), Vec::new());
        header.encode_v1(&mut v1).expect("can be");
        header.encode_v2(&mut v2).expect("can be");
        for header in [v1, v2] {
            for cut in [1, 5, header.len() - 1, header.len()] {
                let sent = [&header[..], b"AMQP"].concat();
                let (read, rest) = read(&sent, cut);
                assert_eq!(read.expect("a header"), expected);
                assert_eq!(rest, b"AMQP");
            }
        }
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
        for header in [&b"PROXY UNKNOWN\r\n"[..], local] {
            let (read, rest) = read(&[header, b"AMQP"].concat(), 3);
            assert_eq!(read.expect("a header"), None);
            assert_eq!(rest, b"AMQP");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = [b'P'; 200];
        for sent in [&b"AMQP\0\0\x09\x01"[..], b"PROXY nonsense\r\n", &long, b"\r\n\r\n\0\r\nX"] {
            let (read, _) = read(sent, 1);
            assert!(read.is_err(), "{sent:?}");
        }
    }

    /// Reads a header from what is sent in two pieces, and then what is behind it.
    fn read(sent: &[u8], cut: usize) -> (io::Result<Option<(SocketAddr, SocketAddr)>>, Vec<u8>) {
        crate::runtime().expect("a runtime").block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let address = listener.local_addr().expect("bound");
            let mut client = TcpStream::connect(address).await.expect("connected");
            let (mut socket, _) = listener.accept().await.expect("accepted");
            let sending = async {
                client.write_all(&sent[..cut]).await.expect("sent");
                tokio::task::yield_now().await;
                client.write_all(&sent[cut..]).await.expect("sent");
                drop(client);
            };
            let reading = async {
                let read = read_header(&mut socket).await;
                let mut rest = Vec::new();
                // Who was refused may have sent more than was read.
                let _ = socket.read_to_end(&mut rest).await;
                (read, rest)
            };
            tokio::join!(reading, sending).0
        })
    }
}
