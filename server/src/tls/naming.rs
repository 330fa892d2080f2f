//! What a client's certificate says who the client is, written as RabbitMQ writes it.

use std::fmt::Write;
use std::sync::Arc;

use warren_io::Naming;
use x509_cert::Certificate;
use x509_cert::attr::{AttributeTypeAndValue, AttributeValue};
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::config::{LoginFrom, SanType, TlsSettings};

/// What makes a name of a certificate.
pub(super) fn naming(settings: &TlsSettings) -> Arc<Naming> {
    let (login_from, san_type, index) =
        (settings.login_from, settings.san_type, settings.san_index);
    Arc::new(move |certificate| {
        let certificate = Certificate::from_der(certificate).ok()?;
        let subject = &certificate.tbs_certificate.subject;
        match login_from {
            LoginFrom::Subject => Some(distinguished_name(subject)),
            LoginFrom::CommonName => common_name(subject),
            LoginFrom::Alternative => {
                alternative_names(&certificate, san_type).into_iter().nth(index)
            }
        }
    })
}

/// The subject as in RFC 4514: `CN=bunny,O=Warren`.
fn distinguished_name(subject: &Name) -> String {
    let parts = subject.0.iter().rev().map(|part| {
        let attributes: Vec<_> = part.0.iter().map(attribute).collect();
        attributes.join("+")
    });
    parts.collect::<Vec<_>>().join(",")
}

/// All common names there are.
fn common_name(subject: &Name) -> Option<String> {
    let attributes = subject.0.iter().flat_map(|part| part.0.iter());
    let names = attributes.filter(|attribute| attribute.oid.to_string() == COMMON_NAME);
    let names: Vec<_> = names.filter_map(|attribute| text(&attribute.value)).collect();
    (!names.is_empty()).then(|| names.join(","))
}

fn alternative_names(certificate: &Certificate, kind: SanType) -> Vec<String> {
    let found = certificate.tbs_certificate.get::<SubjectAltName>();
    let names = found.ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
    let of_kind = names.into_iter().filter_map(|name| match (name, kind) {
        (GeneralName::DnsName(name), SanType::Dns)
        | (GeneralName::Rfc822Name(name), SanType::Email)
        | (GeneralName::UniformResourceIdentifier(name), SanType::Uri) => Some(name.to_string()),
        _ => None,
    });
    of_kind.collect()
}

fn attribute(attribute: &AttributeTypeAndValue) -> String {
    let oid = attribute.oid.to_string();
    let known = NAMES.iter().find(|(known, _)| *known == oid);
    let name = known.map_or(oid.as_str(), |(_, name)| name);
    let value = match text(&attribute.value) {
        Some(text) => escaped(&text),
        None => attribute.value.value().iter().fold("#".to_owned(), |mut hex, byte| {
            _ = write!(hex, "{byte:02X}");
            hex
        }),
    };
    format!("{name}={value}")
}

/// A value as text, if it is one.
fn text(value: &AttributeValue) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
            String::from_utf8(bytes.to_vec()).ok()
        }
        Tag::TeletexString => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let (units, rest) = bytes.as_chunks();
            let units: Vec<_> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

/// As RFC 4514 has it, with all that is not plain ASCII escaped, byte by byte.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for (index, byte) in text.bytes().enumerate() {
        let is_at_an_end = index == 0 || index + 1 == text.len();
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => {
                escaped.push('\\');
                escaped.push(char::from(byte));
            }
            b'#' if index == 0 => escaped.push_str("\\#"),
            b' ' if is_at_an_end => escaped.push_str("\\ "),
            b' '..=b'}' => escaped.push(char::from(byte)),
            _ => _ = write!(escaped, "\\{byte:02X}"),
        }
    }
    escaped
}

const COMMON_NAME: &str = "2.5.4.3";

/// What kinds of attributes are called.
const NAMES: [(&str, &str); 17] = [
    ("2.5.4.4", "SN"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATIONQUALIFIER"),
    (COMMON_NAME, "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "TITLE"),
    ("2.5.4.6", "C"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.65", "PSEUDONYM"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn a_subject_is_written_as_rabbitmq_writes_it() {
        let name = |text| distinguished_name(&Name::from_str(text).expect("a name"));
        assert_eq!(name("CN=bunny,O=Warren,C=DE"), "CN=bunny,O=Warren,C=DE");
        assert_eq!(name("CN=a\\,b\\+c,OU=x+O=y"), "CN=a\\,b\\+c,O=y+OU=x");
        assert_eq!(name("UID=7,DC=example,DC=org"), "UID=7,DC=example,DC=org");
    }

    #[test]
    fn what_is_special_is_escaped() {
        let texts = [
            ("plain text", "plain text"),
            (" both ends ", "\\ both ends\\ "),
            ("#1 #2", "\\#1 #2"),
            ("a\"b\\c", "a\\\"b\\\\c"),
            ("Köln~\n", "K\\C3\\B6ln\\7E\\0A"),
        ];
        for (text, expected) in texts {
            assert_eq!(escaped(text), expected, "{text}");
        }
    }

    #[test]
    fn all_common_names_are_one() {
        let name = |text| common_name(&Name::from_str(text).expect("a name"));
        assert_eq!(name("CN=bunny,O=Warren").as_deref(), Some("bunny"));
        assert_eq!(name("CN=two,CN=one").as_deref(), Some("one,two"));
        assert_eq!(name("O=Warren"), None);
    }
}
