//! The last records of the log, in memory: what the management API and `warren ctl log_tail` show,
//! wherever else logs go.
//!
//! It is bounded by records and by bytes; the oldest go. Each record has a number, one more than
//! the one before it, so that who follows sees what is new, and whether something was missed. The
//! first one's is the time of the start, in microseconds: so numbers grow from start to start.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The most records.
const RECORDS_MAX: usize = 5000;

/// The most bytes of text in all of them, about.
const BYTES_MAX: usize = 2 << 20;

/// The most bytes of one text of a record.
const TEXT_MAX: usize = 4096;

/// A record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) time: SystemTime,
    pub(crate) level: Level,
    pub(crate) message: String,
    /// What else it says, by name.
    pub(crate) fields: Map<String, Value>,
}

impl Record {
    /// About how many bytes it takes.
    fn len(&self) -> usize {
        let field = |(name, value): (&String, &Value)| {
            name.len() + value.as_str().map_or(size_of::<Value>(), str::len)
        };
        size_of::<Self>() + self.message.len() + self.fields.iter().map(field).sum::<usize>()
    }
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Recent(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    kept: VecDeque<Record>,
    /// How many bytes they take.
    len: usize,
    /// The number of the last that came.
    last_id: u64,
}

impl Records {
    fn add(&mut self, mut record: Record) {
        self.last_id += 1;
        record.id = self.last_id;
        self.len += record.len();
        self.kept.push_back(record);
        while (self.kept.len() > RECORDS_MAX || self.len > BYTES_MAX)
            && let Some(oldest) = self.kept.pop_front()
        {
            self.len -= oldest.len();
        }
    }
}

impl Recent {
    /// None yet; the numbers of those that come follow this one.
    fn behind(last_id: u64) -> Self {
        Self(Arc::new(Mutex::new(Records { last_id, ..Records::default() })))
    }

    /// None yet.
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::behind(now.as_micros() as u64)
    }

    /// The number of the last record, and some records that are at least as
    /// severe as this: the first ones behind a number, or the last of all; in their order.
    pub(crate) fn read(
        &self,
        since: Option<u64>,
        limit: usize,
        level: Level,
    ) -> (u64, Vec<Record>) {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_severe = |record: &&Record| record.level <= level;
        let found = match since {
            Some(since) => {
                let begin = records.kept.partition_point(|record| record.id <= since);
                let behind = records.kept.range(begin..).filter(is_severe);
                behind.take(limit).cloned().collect()
            }
            None => {
                let last = records.kept.iter().rev().filter(is_severe).take(limit);
                let mut last: Vec<_> = last.cloned().collect();
                last.reverse();
                last
            }
        };
        (records.last_id, found)
    }
}

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record {
            id: 0,
            time: SystemTime::now(),
            level: *event.metadata().level(),
            message: String::new(),
            fields: Map::new(),
        };
        event.record(&mut Visitor(&mut record));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(record);
    }
}

/// Writes what an event says into a record.
struct Visitor<'a>(&'a mut Record);

impl Visitor<'_> {
    fn note(&mut self, field: &Field, value: Value) {
        self.0.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = cut(value);
        match field.name() {
            "message" => self.0.message = text,
            _ => self.note(field, text.into()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, value.into());
    }
}

/// A text, or as much of it as a record keeps.
fn cut(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_MAX).rev().find(|end| text.is_char_boundary(*end));
    format!("{}…", &text[..end.unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use tracing::{info, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn records_have_numbers_and_fields_and_are_read_on_from_a_number() {
        let recent = Recent::behind(0);
        let logged = tracing_subscriber::registry().with(recent.clone());
        tracing::subscriber::with_default(logged, || {
            info!(peer = %"here", count = 7, "first");
            warn!("second");
            info!(is_open = true, "third");
        });
        let (last_id, records) = recent.read(None, 2, Level::TRACE);
        assert_eq!(last_id, 3);
        let told: Vec<_> =
            records.iter().map(|record| (record.id, record.message.as_str())).collect();
        assert_eq!(told, [(2, "second"), (3, "third")]);
        let (_, records) = recent.read(Some(0), 1, Level::TRACE);
        assert_eq!((records[0].id, records[0].level), (1, Level::INFO));
        assert_eq!(
            Value::from(records[0].fields.clone()),
            serde_json::json!({
                "peer": "here", "count": 7
            })
        );
        let (_, severe) = recent.read(Some(0), 9, Level::WARN);
        assert_eq!(severe.iter().map(|record| record.id).collect::<Vec<_>>(), [2]);
        assert!(recent.read(Some(3), 9, Level::TRACE).1.is_empty());
        assert!(recent.read(Some(u64::MAX), 9, Level::TRACE).1.is_empty());
    }

    #[test]
    fn the_oldest_records_go_by_number_and_by_bytes() {
        let mut records = Records::default();
        let record = |message: String| Record {
            id: 0,
            time: SystemTime::UNIX_EPOCH,
            level: Level::INFO,
            message,
            fields: Map::new(),
        };
        for _ in 0..RECORDS_MAX + 10 {
            records.add(record(String::new()));
        }
        assert_eq!(records.kept.len(), RECORDS_MAX);
        assert_eq!(records.kept[0].id, 11);
        for _ in 0..RECORDS_MAX {
            records.add(record(cut(&"ü".repeat(TEXT_MAX))));
        }
        assert!(records.len <= BYTES_MAX && records.kept.len() > BYTES_MAX / TEXT_MAX / 2);
        assert_eq!(records.len, records.kept.iter().map(Record::len).sum::<usize>());
        assert_eq!(records.last_id, 2 * RECORDS_MAX as u64 + 10);
    }
}
