//! Where the broker is: behind a socket on this machine, or behind an address.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ArgMatches;
use hyper::Uri;
use percent_encoding::percent_decode_str;

use super::failure::Failure;
use crate::config::Sources;
use crate::management::SOCKET;

/// The variable that stands for `--url`.
const URL: &str = "WARREN_URL";

/// Where the packaged broker has its configuration.
const PACKAGED: &str = "/etc/warren/warren.conf";

/// See the [module](self).
#[derive(Debug)]
pub(super) enum Target {
    /// The socket of a broker whose configuration calls it so.
    Local {
        socket: PathBuf,
        node: String,
    },
    Remote(Remote),
}

/// An address of the management API, and who asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether TLS is spoken there.
    pub(super) is_secure: bool,
    /// What stands before every path.
    pub(super) prefix: String,
    /// The header of RFC 7617.
    pub(super) authorization: Option<String>,
    /// Whom to trust.
    pub(super) authorities: Option<PathBuf>,
}

impl Target {
    /// The one that a command line asks for, or else the environment and the configuration.
    ///
    /// # Errors
    /// When what says so cannot be read.
    pub(super) fn of(given: &ArgMatches) -> Result<Self, Failure> {
        let text = |name| given.get_one::<String>(name).cloned();
        let is_local = ["socket", "data-dir", "config"].iter().any(|name| text(name).is_some());
        let variable = || std::env::var(URL).ok().filter(|url| !url.is_empty() && !is_local);
        if let Some(url) = text("url").or_else(variable) {
            let authorities = text("cacert").map(PathBuf::from);
            let remote = Remote::read(&url).map(|remote| Remote { authorities, ..remote });
            return remote.map(Self::Remote).map_err(Failure::argument);
        }
        Self::local(text("socket"), text("data-dir"), text("config"))
    }

    fn local(
        socket: Option<String>,
        data_dir: Option<String>,
        config: Option<String>,
    ) -> Result<Self, Failure> {
        let mut sources = Sources::new(config.iter().map(PathBuf::from).collect());
        if let Some(dir) = &data_dir {
            sources.flags.push(("--data-dir", "warren.data_dir".to_owned(), dir.clone()));
        }
        let load =
            |sources: &Sources| sources.load().map(|loaded| loaded.settings).map_err(Failure::data);
        let mut settings = load(&sources)?;
        // A broker that was told nothing has its data here; the packaged one has a configuration.
        let is_told = data_dir.or(config).or(socket.clone()).is_some();
        let is_here = settings.data_dir.join(SOCKET).exists();
        if !is_told && !is_here && !sources.has_files() && Path::new(PACKAGED).exists() {
            sources.files.push(PACKAGED.into());
            settings = load(&sources)?;
        }
        let socket = socket.map_or_else(|| settings.data_dir.join(SOCKET), PathBuf::from);
        Ok(Self::Local { socket, node: settings.core.node_name })
    }
}

impl Remote {
    fn read(url: &str) -> Result<Self, String> {
        let wrong = || format!("`{url}` is no address such as http://user:password@host:15672");
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = full.parse().map_err(|_| wrong())?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let claim = authority.as_str().rsplit_once('@').map(|(claim, _)| claim);
        let authorization = claim.map(|claim| {
            let (user, password) = claim.split_once(':').unwrap_or((claim, ""));
            let plain = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
            basic(&plain(user), &plain(password))
        });
        let port = authority.port_u16().unwrap_or(if is_secure { 15671 } else { 15672 });
        let prefix = uri.path().trim_end_matches('/').trim_end_matches("/api").to_owned();
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port, is_secure, prefix, authorization, authorities: None })
    }
}

/// The header with which somebody says who it is.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_who_asks_where_and_how() {
        let remote = Remote::read("https://al%40ice:s%3Aecret@[::1]:443/rabbit/").expect("is one");
        let expected = Remote {
            host: "::1".into(),
            port: 443,
            is_secure: true,
            prefix: "/rabbit".into(),
            authorization: Some(basic("al@ice", "s:ecret")),
            authorities: None,
        };
        assert_eq!(remote, expected);
        let short = Remote::read("guest:guest@host").expect("is one");
        assert_eq!((&*short.host, short.port, short.is_secure), ("host", 15672, false));
        assert_eq!(Remote::read("http://host/api").expect("is one").prefix, "");
        for wrong in ["amqp://host", "http://", "a b", ""] {
            assert!(Remote::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_data_directory_has_the_socket() {
        let target = Target::local(None, Some("d".into()), None).expect("can be read");
        let Target::Local { socket, .. } = target else { panic!("{target:?}") };
        assert_eq!(socket, Path::new("d").join(SOCKET));
        let target = Target::local(Some("s".into()), None, None).expect("can be read");
        assert!(matches!(target, Target::Local { socket, .. } if socket == Path::new("s")));
    }
}
