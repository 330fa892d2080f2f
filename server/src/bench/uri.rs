//! The broker's address: `amqp://user:password@host:port/vhost`.
//!
//! Every part but the scheme may be left out; what is missing takes its usual value. User, password
//! and vhost are percent-decoded. An empty path is the vhost `/`, as most clients read it.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// A broker, a login and a vhost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Uri {
    /// Host name or IP address; IPv6 without its brackets.
    pub(super) host: String,
    /// TCP port, 5672 unless given.
    pub(super) port: u16,
    /// Login name, `guest` unless given.
    pub(super) user: String,
    /// Password, `guest` unless given.
    pub(super) password: String,
    /// Virtual host, `/` unless given; at most 255 bytes, as the protocol has it.
    pub(super) vhost: String,
}

impl FromStr for Uri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            Some(("amqp", rest)) => rest,
            Some(("amqps", _)) => return Err("TLS (amqps) is not supported here".into()),
            _ => return Err("an address begins with amqp://".into()),
        };
        let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, "guest"));
        let (host, port) = split_address(address)?;

        let vhost = if path.is_empty() { "/".into() } else { decoded(path)? };
        if vhost.len() > 255 {
            return Err("a vhost has at most 255 bytes".into());
        }
        Ok(Self {
            host: if host.is_empty() { "127.0.0.1".into() } else { decoded(host)? },
            port,
            user: if user.is_empty() { "guest".into() } else { decoded(user)? },
            password: decoded(password)?,
            vhost,
        })
    }
}

/// Everything but the password.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "amqp://{}@{open}{}{close}:{}", self.user, self.host, self.port)?;
        if self.vhost == "/" { write!(f, "/") } else { write!(f, "/{}", self.vhost) }
    }
}

fn split_address(address: &str) -> Result<(&str, u16), String> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("an IPv6 address ends with ]")?;
            (host, after.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        None | Some("") => 5672,
        Some(text) => text.parse().map_err(|_| format!("'{text}' is not a port"))?,
    };
    Ok((host, port))
}

fn decoded(text: &str) -> Result<String, String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(format!("'{text}' is not UTF-8 once percent-decoded")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_bare_scheme_means_guest_at_loopback_in_the_root_vhost() {
        let uri = parsed("amqp://");
        assert_eq!(uri, parsed("amqp://guest:guest@127.0.0.1:5672/"));
        assert_eq!(uri.vhost, "/");
    }

    #[test]
    fn user_password_and_vhost_are_percent_decoded() {
        let uri = parsed("amqp://a%40b:p%3A%2F@broker:99/%2Fprod");
        assert_eq!((uri.user.as_str(), uri.password.as_str()), ("a@b", "p:/"));
        assert_eq!((uri.host.as_str(), uri.port, uri.vhost.as_str()), ("broker", 99, "/prod"));
        assert_eq!(parsed("amqp://h/%2F").vhost, "/");
        assert_eq!(parsed("amqp://h/%2f").vhost, "/");
        assert_eq!(parsed("amqp://h").vhost, "/");
    }

    #[test]
    fn an_ipv6_host_stands_in_brackets() {
        let uri = parsed("amqp://[::1]:5673/v");
        assert_eq!((uri.host.as_str(), uri.port), ("::1", 5673));
        assert_eq!(uri.to_string(), "amqp://guest@[::1]:5673/v");
        assert_eq!(parsed("amqp://[::1]").port, 5672);
    }

    #[test]
    fn the_password_is_never_printed() {
        assert_eq!(parsed("amqp://u:secret@h/").to_string(), "amqp://u@h:5672/");
    }

    #[test]
    fn what_is_not_an_amqp_address_is_refused() {
        for text in ["localhost:5672", "http://h/", "amqps://h/", "amqp://h:x/", "amqp://[::1/"] {
            assert!(text.parse::<Uri>().is_err(), "{text}");
        }
        assert!("amqp://h/%ff".parse::<Uri>().is_err());
    }
}
