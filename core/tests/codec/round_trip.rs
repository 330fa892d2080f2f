//! What is written reads back as it was: methods and content headers.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use warren_core::amqp::*;

use super::methods::all_methods;
use super::values::{Argument, Range, any_properties};
use super::wire::{decode, decoder, encode, frames_of, payload_of, raw_frame, raw_header};

/// Runs a property for every method in turn, so that none is left to chance.
fn for_every_method(property: impl Fn(Method) -> Result<(), TestCaseError>) {
    for (id, strategy) in all_methods(Range::Wire) {
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) };
        let run = TestRunner::new(config).run(&strategy, &property);
        run.unwrap_or_else(|error| panic!("method {}.{}: {error}", id.class, id.method));
    }
}

#[test]
fn every_method_reads_back_as_it_was_written() {
    for_every_method(|method| {
        prop_assert_eq!(Method::read(&payload_of(&method)), Ok(method));
        Ok(())
    });
}

#[test]
fn every_method_passes_through_encoder_and_decoder() {
    for_every_method(|method| {
        let stream = encode(0, &[OutFrame::Method(7, method.clone())]);
        prop_assert_eq!(frames_of(0, stream), [Frame::Method(7, method)]);
        Ok(())
    });
}

#[test]
fn a_method_cut_short_or_with_bytes_behind_it_is_malformed() {
    for_every_method(|method| {
        let id = method.id();
        let payload = payload_of(&method);
        for len in 0..payload.len() {
            let expected = if len < 4 { MethodError::NoId } else { MethodError::Malformed(id) };
            prop_assert_eq!(Method::read(&payload.slice(..len)), Err(expected));
        }
        let longer = Bytes::from([&payload[..], &[0]].concat());
        prop_assert_eq!(Method::read(&longer), Err(MethodError::Malformed(id)));
        Ok(())
    });
}

#[test]
fn a_number_that_is_no_method_is_unknown() {
    let numbers = (0..130).flat_map(|class| (0..130).map(move |method| MethodId { class, method }));
    for id in numbers.filter(|id| !Method::IDS.contains(id)) {
        let payload = [id.class.to_be_bytes(), id.method.to_be_bytes()].concat();
        let decoded = decode(decoder(0), [raw_frame(1, 1, &payload).into()]);
        assert_eq!(decoded, [Err(DecodeError::UnknownMethod(id))]);
    }
}

proptest! {
    #[test]
    fn a_content_header_reads_back_as_it_was_written(
        channel in any::<u16>(),
        class_id in any::<u16>(),
        weight in any::<u16>(),
        body_size in any::<u64>(),
        properties in any_properties(Range::Wire),
    ) {
        let wire = properties.encode();
        let header = ContentHeader { class_id, weight, body_size, properties: wire.clone() };
        let stream = raw_frame(2, channel, &raw_header(&header));
        prop_assert_eq!(frames_of(0, stream.into()), [Frame::Header(channel, header)]);
        prop_assert_eq!(wire.decode(), Ok(properties));
    }

    #[test]
    fn a_table_reads_back_as_it_was_written(table in FieldTable::any(Range::Wire)) {
        let mut out = BytesMut::new();
        table.write(&mut out);
        let bytes = out.freeze();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(FieldTable::read(&mut reader), Ok(table));
        prop_assert_eq!(reader.remaining(), 0);
    }
}
