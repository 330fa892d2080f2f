//! Finds the secrets in what a client sends, so that no recording has them: passwords, and whatever
//! else a mechanism may take for one.
//!
//! They stand in methods of the connection. What is left of a response is what tells who logs in.

/// The methods that have a secret, by class and method.
const START_OK: [u8; 4] = [0, 10, 0, 11];
const SECURE_OK: [u8; 4] = [0, 10, 0, 21];
const UPDATE_SECRET: [u8; 4] = [0, 10, 0, 70];

/// What stands in place of each byte of a secret.
pub(crate) const MASK: u8 = b'*';

/// Follows the payload of a method, however it is cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    place: Place,
    mechanism: Vec<u8>,
}

/// Where it is.
#[derive(Clone, Debug)]
enum Place {
    /// So many octets of class and method are there.
    Method([u8; 4], usize),
    /// The length of the client's properties, and these.
    PropertiesLen(u32, u8),
    Properties(u32),
    /// The name of the mechanism, and its length.
    MechanismLen,
    Mechanism(u8),
    /// The length of what has a secret, and that.
    SecretLen(u32, u8),
    Secret(u32, Response),
    /// What comes is nobody's secret.
    Open,
}

impl Default for Place {
    fn default() -> Self {
        Self::Method([0; 4], 0)
    }
}

/// Where a response is.
#[derive(Clone, Debug)]
enum Response {
    /// Of `PLAIN`: so many zeros came. Behind the second is the password.
    Plain(u8),
    /// Of `AMQPLAIN`: a table.
    Table(Entry, Vec<u8>),
    /// All of it is secret.
    Secret,
}

/// Where in an entry of a table.
#[derive(Clone, Copy, Debug)]
enum Entry {
    NameLen,
    Name(u8),
    Kind,
    ValueLen(u32, u8),
    Value(u32),
}

impl Secrets {
    /// Another method begins.
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Whether this byte, which comes next, is one of a secret.
    pub(crate) fn is_secret(&mut self, byte: u8) -> bool {
        let place = std::mem::take(&mut self.place);
        let (next, is_secret) = self.step(place, byte);
        self.place = next;
        is_secret
    }

    fn step(&mut self, place: Place, byte: u8) -> (Place, bool) {
        let next = match place {
            Place::Method(mut method, have) => {
                method[have] = byte;
                match (have + 1, method) {
                    (4, START_OK) => Place::PropertiesLen(0, 0),
                    (4, SECURE_OK | UPDATE_SECRET) => Place::SecretLen(0, 0),
                    (4, _) => Place::Open,
                    (have, method) => Place::Method(method, have),
                }
            }
            Place::PropertiesLen(len, have) => match (len << 8 | u32::from(byte), have + 1) {
                (0, 4) => Place::MechanismLen,
                (len, 4) => Place::Properties(len),
                (len, have) => Place::PropertiesLen(len, have),
            },
            Place::Properties(1) => Place::MechanismLen,
            Place::Properties(left) => Place::Properties(left - 1),
            Place::MechanismLen if byte == 0 => Place::SecretLen(0, 0),
            Place::MechanismLen => Place::Mechanism(byte),
            Place::Mechanism(left) => {
                self.mechanism.push(byte);
                if left == 1 { Place::SecretLen(0, 0) } else { Place::Mechanism(left - 1) }
            }
            Place::SecretLen(len, have) => match (len << 8 | u32::from(byte), have + 1) {
                (0, 4) => Place::Open,
                (len, 4) => Place::Secret(len, Response::of(&self.mechanism)),
                (len, have) => Place::SecretLen(len, have),
            },
            Place::Secret(left, mut response) => {
                let is_secret = response.is_secret(byte);
                let next = if left == 1 { Place::Open } else { Place::Secret(left - 1, response) };
                return (next, is_secret);
            }
            Place::Open => Place::Open,
        };
        (next, false)
    }
}

impl Response {
    fn of(mechanism: &[u8]) -> Self {
        match mechanism {
            b"PLAIN" => Self::Plain(0),
            b"AMQPLAIN" => Self::Table(Entry::NameLen, Vec::new()),
            _ => Self::Secret,
        }
    }

    fn is_secret(&mut self, byte: u8) -> bool {
        match self {
            Self::Plain(2) | Self::Secret => true,
            Self::Plain(zeros) => {
                *zeros += u8::from(byte == 0);
                false
            }
            Self::Table(entry, name) => {
                let is_secret = matches!(entry, Entry::Value(_)) && name != b"LOGIN";
                match entry.next(name, byte) {
                    Some(next) => *entry = next,
                    // It is not as usual: whatever it is, it may be a secret.
                    None => *self = Self::Secret,
                }
                is_secret
            }
        }
    }
}

impl Entry {
    /// Where the next byte stands; `None` when that cannot be told.
    fn next(self, name: &mut Vec<u8>, byte: u8) -> Option<Self> {
        Some(match self {
            Self::NameLen => {
                name.clear();
                if byte == 0 { Self::Kind } else { Self::Name(byte) }
            }
            Self::Name(left) => {
                name.push(byte);
                if left == 1 { Self::Kind } else { Self::Name(left - 1) }
            }
            Self::Kind if byte == b'S' => Self::ValueLen(0, 0),
            Self::Kind => return None,
            Self::ValueLen(len, have) => match (len << 8 | u32::from(byte), have + 1) {
                (0, 4) => Self::NameLen,
                (len, 4) => Self::Value(len),
                (len, have) => Self::ValueLen(len, have),
            },
            Self::Value(1) => Self::NameLen,
            Self::Value(left) => Self::Value(left - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_ok(mechanism: &str, response: &[u8]) -> Vec<u8> {
        let mut payload = START_OK.to_vec();
        payload.extend_from_slice(&[0, 0, 0, 3, b'a', b'b', b'c']);
        payload.push(mechanism.len() as u8);
        payload.extend_from_slice(mechanism.as_bytes());
        payload.extend_from_slice(&(response.len() as u32).to_be_bytes());
        payload.extend_from_slice(response);
        payload.extend_from_slice(b"\x05en_US");
        payload
    }

    fn masked(payload: &[u8]) -> String {
        let mut secrets = Secrets::default();
        let mask = |byte: &u8| if secrets.is_secret(*byte) { MASK } else { *byte };
        String::from_utf8_lossy(&payload.iter().map(mask).collect::<Vec<_>>()).into_owned()
    }

    #[test]
    fn passwords_are_masked_and_nothing_else() {
        let plain = masked(&start_ok("PLAIN", b"\0guest\0secret\0too"));
        assert!(plain.ends_with("\0guest\0**********\x05en_US"), "{plain:?}");
        let table = b"\x08PASSWORDS\0\0\0\x06secret\x05LOGINS\0\0\0\x05guest\x01xS\0\0\0\x02hm";
        let amqplain = masked(&start_ok("AMQPLAIN", table));
        let expected = "S\0\0\0\x06******\x05LOGINS\0\0\0\x05guest\x01xS\0\0\0\x02**\x05en_US";
        assert!(amqplain.ends_with(expected), "{amqplain:?}");
        let other = masked(&start_ok("XOAUTH", b"token"));
        assert!(other.ends_with("\0\0\0\x05*****\x05en_US"), "{other:?}");
    }

    #[test]
    fn what_is_not_understood_is_masked_to_its_end() {
        let odd = masked(&start_ok("AMQPLAIN", b"\x08PASSWORDx\0\0\0\x06secret"));
        assert!(!odd.contains("secret"), "{odd:?}");
        let mut update = UPDATE_SECRET.to_vec();
        update.extend_from_slice(b"\0\0\0\x06secret\x03why");
        assert!(masked(&update).ends_with("\0\0\0\x06******\x03why"));
        let tune_ok = [0, 10, 0, 31, 0, 7, 0, 0, 16, 0, 0, 0];
        assert_eq!(masked(&tune_ok).as_bytes(), tune_ok);
    }
}
