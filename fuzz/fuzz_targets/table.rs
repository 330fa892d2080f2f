//! Field tables and content properties, on any bytes.
//!
//! Never panics, never reads past the end; whatever was read is the same after it was written and
//! read again, and a table that was written is no longer than the one it was read from.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use warren_core::amqp::{FieldTable, Properties, Reader};
use warren_fuzz::mutation::mutate_table;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate_table(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    check_table(&bytes);
    check_properties(&bytes);
});

fn check_table(bytes: &Bytes) {
    let mut reader = Reader::new(bytes);
    let Ok(table) = FieldTable::read(&mut reader) else { return };
    let mut out = BytesMut::new();
    table.write(&mut out);
    let written = out.freeze();
    assert_eq!(written.len(), reader.position(), "every value has one length");

    let mut again = Reader::new(&written);
    assert_eq!(FieldTable::read(&mut again).as_ref(), Ok(&table));
    assert_eq!(again.remaining(), 0);

    let canonical = table.canonical();
    assert_eq!(canonical.canonical(), canonical);
    assert_eq!(canonical.len(), table.len());
    for (name, value) in table.iter().filter(|(name, _)| is_text(name.as_bytes())) {
        let found = table.find(&name.to_text()).expect("an entry that is there");
        let first = table.iter().find(|(other, _)| other == name).expect("itself");
        assert_eq!(found, &first.1);
        let _ = value.as_integer();
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

fn check_properties(bytes: &Bytes) {
    let Ok(properties) = Properties::from_wire(bytes.clone()).decode() else { return };
    let encoded = properties.encode();
    assert_eq!(encoded.wire().len(), bytes.len());
    assert_eq!(encoded.decode(), Ok(properties));
}
