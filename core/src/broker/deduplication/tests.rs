//! What is remembered, for how long, and what a start makes of it.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn arguments(size: i32, more: &[(&'static str, FieldValue)]) -> FieldTable {
    let asked = [(DEDUPLICATION, FieldValue::Bool(true)), (SIZE, FieldValue::I32(size))];
    let all = asked.iter().chain(more);
    FieldTable::new(all.map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn seen(size: i32) -> Box<Seen> {
    Seen::new(&arguments(size, &[]), 7).expect("asked for")
}

fn value(number: u8) -> Fingerprint {
    Fingerprint([number; 16])
}

fn headers(value: FieldValue) -> FieldTable {
    FieldTable::new(vec![(HEADER.into(), value)])
}

fn sight(value: FieldValue) -> Option<Fingerprint> {
    seen(1).sighting(&headers(value)).map(|sighting| sighting.value)
}

#[test]
fn integers_are_the_same_by_value_and_all_else_by_type_too() {
    let five = sight(FieldValue::I32(5)).expect("a value");
    for same in [FieldValue::I8(5), FieldValue::U16(5), FieldValue::U32(5), FieldValue::I64(5)] {
        assert_eq!(sight(same), Some(five));
    }
    let others = [
        FieldValue::I32(6),
        FieldValue::text("5"),
        FieldValue::F64(5.0_f64.to_bits()),
        FieldValue::Timestamp(5),
        FieldValue::ByteArray(Bytes::from_static(b"5")),
        FieldValue::Array(vec![FieldValue::I32(5)]),
        FieldValue::Bool(true),
        FieldValue::text(""),
    ];
    let mut all: Vec<_> = others.into_iter().map(sight).chain([Some(five)]).collect();
    assert!(all.iter().all(Option::is_some));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 9);
    assert_eq!(sight(FieldValue::Void), None);
}

/// It stands in data directories.
#[test]
fn a_fingerprint_is_what_the_format_says() {
    let text = sight(FieldValue::text("abc")).expect("a value");
    let number = sight(FieldValue::I32(5)).expect("a value");
    let hash = |bytes: &[u8]| Sha256::digest(bytes)[..16].to_vec();
    assert_eq!(text.0[..], hash(b"\0abc"));
    assert_eq!(number.0[..], hash(b"\x01\0\0\0\x0a\0l\0\0\0\0\0\0\0\x05"));
}

#[test]
fn a_header_of_another_name_is_looked_at_if_it_is_asked_for() {
    let named = arguments(5, &[(HEADER, FieldValue::text("id"))]);
    let seen = Seen::new(&named, 7).expect("asked for");
    assert_eq!(seen.sighting(&headers(FieldValue::I32(5))), None);
    let headers = FieldTable::new(vec![("id".into(), FieldValue::I32(5))]);
    assert!(seen.sighting(&headers).is_some());
}

#[test]
fn a_message_may_say_for_how_long_it_counts() {
    let timed = arguments(5, &[(TTL, FieldValue::I32(700))]);
    let seen = Seen::new(&timed, 7).expect("asked for");
    let ttl = |own: Option<FieldValue>| {
        let mut headers = headers(FieldValue::I32(5));
        own.into_iter().for_each(|own| headers.push(TTL.into(), own));
        seen.sighting(&headers).expect("a value").ttl
    };
    assert_eq!(ttl(None), Some(700));
    assert_eq!(ttl(Some(FieldValue::I64(20))), Some(20));
    assert_eq!(ttl(Some(FieldValue::I64(i64::MAX))), Some(EXPIRATION_MAX));
    // As if it had not said it.
    for own in [FieldValue::I32(-1), FieldValue::text("20"), FieldValue::Void] {
        assert_eq!(ttl(Some(own)), Some(700));
    }
}

#[test]
fn nobody_deduplicates_who_is_not_asked_to() {
    for asked in [FieldValue::Bool(false), FieldValue::text("true")] {
        let arguments = FieldTable::new(vec![(DEDUPLICATION.into(), asked)]);
        assert!(Seen::new(&arguments, 7).is_none());
    }
    let size = Seen::new(&FieldTable::new(vec![(DEDUPLICATION.into(), FieldValue::Bool(true))]), 7);
    assert_eq!(size.map(|seen| seen.size), Some(SIZE_DEFAULT));
}

#[test]
fn a_duplicate_rests_on_the_batch_of_the_first_until_that_is_durable() {
    let mut seen = seen(9);
    for (number, batch, durable) in
        [(1, Some(3), 2), (2, None, 2), (3, Some(3), 2), (4, Some(4), 2)]
    {
        seen.remember(value(number), None, batch, durable, 0);
    }
    let gates = |seen: &Seen| {
        let found = (1..=4).map(|number| seen.find(&value(number), 0).expect("known"));
        found.map(|known| (known.is_kept, known.gate)).collect::<Vec<_>>()
    };
    assert_eq!(gates(&seen), [(true, 3), (false, 0), (true, 3), (true, 4)]);
    // What is known to be durable is forgotten when the next one comes.
    seen.remember(value(5), None, Some(5), 4, 0);
    assert_eq!(gates(&seen), [(true, 0), (false, 0), (true, 0), (true, 0)]);
    assert_eq!(seen.batches.len(), 1);
}

/// What must be remembered, plainly: each with its number, its end, and whether it is kept.
#[derive(Clone, Debug, Default)]
struct Plain {
    all: Vec<(u8, Option<u64>, bool)>,
    size: usize,
}

impl Plain {
    fn window(&self) -> &[(u8, Option<u64>, bool)] {
        &self.all[self.all.len().saturating_sub(self.size)..]
    }

    fn find(&self, number: u8, now: u64) -> Option<bool> {
        let last = self.window().iter().rev().find(|(other, ..)| *other == number)?;
        last.1.is_none_or(|until| until > now).then_some(last.2)
    }
}

/// What the log has: as a start would add it up.
#[derive(Debug, Default)]
struct Logged {
    values: VecDeque<SeenValue>,
    next: u64,
}

impl Logged {
    fn note(&mut self, remembered: Remembered, is_kept: bool) {
        let Remembered { seen, from, has_forgotten_kept } = remembered;
        if !is_kept && !has_forgotten_kept {
            return;
        }
        if is_kept {
            assert!(seen.number >= self.next);
            self.values.push_back(seen);
            self.next = seen.number + 1;
        }
        self.next = self.next.max(from);
        self.values.retain(|value| value.number >= from);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Against a plain list, with starts in between that find what the log or a checkpoint has.
    #[test]
    fn the_last_that_came_are_known_until_their_time_is_over(
        size in 1..6_usize,
        steps in prop::collection::vec((0..6_u8, 0..4_u64, any::<bool>(), 0..20_u8), 0..80),
    ) {
        let mut seen = seen(size as i32);
        let mut plain = Plain { size, ..Plain::default() };
        let mut logged = Logged::default();
        let (mut now, mut batch) = (10, 1);
        for (number, ttl, is_kept, what) in steps {
            now += u64::from(what % 3 == 0);
            batch += u64::from(what % 4 == 0);
            let known = seen.find(&value(number), now).map(|known| known.is_kept);
            prop_assert_eq!(known, plain.find(number, now));
            if known.is_none_or(|known| is_kept && !known) {
                let until = (ttl > 0).then_some(now + 3 * ttl);
                let gate = is_kept.then_some(batch);
                logged.note(seen.remember(value(number), until, gate, batch - 1, now), is_kept);
                plain.all.push((number, until, is_kept));
            }
            prop_assert!(seen.entries.len() <= size);
            let (_, kept) = seen.kept();
            let live = |value: &SeenValue| value.until == FOREVER || value.until > now;
            let kept: Vec<_> = kept.filter(live).collect();
            let left: Vec<_> = logged.values.iter().copied().filter(live).collect();
            prop_assert_eq!(&kept, &left);
            if what == 19 {
                // A start: from what the log has, as from what a checkpoint would have.
                let values = logged.values.clone().into_iter();
                seen = self::seen(size as i32);
                seen.restore(values, logged.next);
                let window = plain.window().len();
                let before = plain.all.len() - window;
                for (at, (number, until, is_kept)) in plain.all.iter_mut().enumerate() {
                    if at < before || !*is_kept {
                        (*number, *until) = (u8::MAX, Some(0));
                    }
                }
                while plain.all.last().is_some_and(|(number, ..)| *number == u8::MAX) {
                    plain.all.pop();
                }
            }
        }
    }
}

#[test]
fn what_is_out_of_the_window_of_a_start_is_not_restored() {
    let mut seen = seen(3);
    let values =
        [1, 5, 7, 8].map(|number| SeenValue { number, until: FOREVER, value: value(number as u8) });
    seen.restore(values.into_iter(), 9);
    let known = |number| seen.find(&value(number), 0).is_some();
    assert_eq!([1, 5, 7, 8].map(known), [false, false, true, true]);
    assert_eq!((seen.first, seen.entries.len(), seen.next()), (7, 2, 9));
}
