//! Lists: filtered, sorted, cut into pages and columns, as `page`, `page_size`, `name`,
//! `use_regex`, `sort`, `sort_reverse` and `columns` of the query say.
//!
//! What a row looks like in JSON is found out for those rows only that are shown, or sorted by what
//! only that tells: a page of many queues costs little more than a page of few.

use std::cmp::Ordering;
use std::ops::Range;

use regex_lite::RegexBuilder;
use serde_json::{Map, Value, json};
use warren_core::QueueName;
use warren_core::amqp::ShortStr;

use super::call::{Answer, Call, Failure, Query, Reply};
use super::pieces::in_pieces;

const PAGE_SIZE: usize = 100;
const PAGE_SIZE_MAX: usize = 500;

/// An object in a list.
pub(super) trait Row {
    /// What it is sorted by, unless the query says otherwise.
    fn key(&self) -> (&ShortStr, &ShortStr);

    /// How it stands to another one by that.
    fn compare_keys(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }

    /// All of it.
    fn json(&self) -> Value;

    /// A column to sort by, where that costs less than all of it.
    fn column(&self, _name: &str) -> Option<Value> {
        None
    }
}

/// A row that is there already, with what it is sorted by.
pub(super) struct Ready {
    pub(super) vhost: ShortStr,
    pub(super) name: ShortStr,
    pub(super) json: Value,
}

impl Row for Ready {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        (&self.vhost, &self.name)
    }

    fn json(&self) -> Value {
        self.json.clone()
    }
}

/// Answers a request for a list with as much of it as was asked for. Of a longer list JSON is made
/// piece by piece, as it is sent.
///
/// # Errors
/// When what the query says of pages makes no sense.
pub(super) fn list<T: Row + 'static>(call: &Call, rows: Vec<T>) -> Answer {
    let Shown { rows, page } = choose(&call.query, rows)?;
    if page.is_some() || rows.len() <= AT_ONCE {
        return Ok(answer(&call.query, page, rows.iter().map(Row::json)));
    }
    Ok(in_pieces(&call.query, async move |mut writer| {
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            writer.write(rows.by_ref().take(AT_ONCE).map(|row| row.json())).await?;
        }
        writer.close().await?;
        writer.end().await
    }))
}

/// What is read bit by bit, by virtual host and name as lists are where nobody asks for another
/// order.
pub(super) trait Source {
    type Row: Row + 'static;

    /// Some more rows; `None` if there are none.
    async fn next(&mut self) -> Option<Vec<Self::Row>>;
}

/// Answers a request for a list that is read bit by bit. If all of it is asked for as it is read,
/// no more of it is in memory than what is being sent; else its rows are, until they are in order.
///
/// # Errors
/// When what the query says of pages makes no sense.
pub(super) async fn read_list(call: &Call, mut source: impl Source + 'static) -> Answer {
    let mut rows = Vec::new();
    let is_as_read = is_whole_as_read(&call.query);
    while let Some(some) = source.next().await {
        rows.extend(some);
        if is_as_read && rows.len() > AT_ONCE {
            return Ok(in_pieces(&call.query, async move |mut writer| {
                let mut next = Some(rows);
                while let Some(some) = next {
                    for some in some.chunks(AT_ONCE) {
                        writer.write(some.iter().map(Row::json)).await?;
                    }
                    next = source.next().await;
                }
                writer.close().await?;
                writer.end().await
            }));
        }
    }
    list(call, rows)
}

/// Whether a query asks for all of a list, in the order in which lists are by themselves.
fn is_whole_as_read(query: &Query) -> bool {
    let is_asked_for = |name: &str| query.get(name).is_some_and(|value| !value.is_empty());
    !is_asked_for("page") && !is_asked_for("sort") && !query.is_set("sort_reverse")
}

/// The column by which a query wants a list in order, if it takes more than names.
pub(super) fn column_to_sort_by(query: &Query) -> Option<&str> {
    query.get("sort").filter(|column| !column.is_empty() && *column != "name")
}

/// All that is kept of a row until it is known whether it is shown: its name, and what it is sorted
/// by.
pub(super) struct Mark {
    pub(super) vhost: ShortStr,
    pub(super) name: ShortStr,
    value: Value,
}

impl Mark {
    /// That of a row in a list that is sorted by this column.
    pub(super) fn of(row: &impl Row, column: &str) -> Self {
        let (vhost, name) = row.key();
        Self { vhost: vhost.clone(), name: name.clone(), value: value_of(row, column) }
    }
}

impl Row for Mark {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        (&self.vhost, &self.name)
    }

    fn json(&self) -> Value {
        json!({ "vhost": self.vhost.to_text(), "name": self.name.to_text() })
    }

    fn column(&self, _name: &str) -> Option<Value> {
        Some(self.value.clone())
    }
}

/// A name, of an object of which more is found out when it is known that it is shown.
pub(super) struct Named<'a> {
    pub(super) name: &'a QueueName,
    /// Its rank among all names.
    pub(super) rank: usize,
    /// The column that the query sorts by; anything where names are enough for that.
    pub(super) column: Value,
}

impl Row for Named<'_> {
    fn key(&self) -> (&ShortStr, &ShortStr) {
        (&self.name.vhost, &self.name.name)
    }

    fn compare_keys(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }

    fn json(&self) -> Value {
        json!({ "vhost": self.name.vhost.to_text(), "name": self.name.name.to_text() })
    }

    fn column(&self, _name: &str) -> Option<Value> {
        Some(self.column.clone())
    }
}

/// Of a longer list, so many rows are read and written at once. The broker does nothing else while
/// they are read, and there is memory for no more of them.
pub(super) const AT_ONCE: usize = 250;

/// Those rows of a list that are shown.
pub(super) struct Shown<T> {
    pub(super) rows: Vec<T>,
    /// What is told of the page, if it is one.
    pub(super) page: Option<Value>,
}

/// The answer with these rows, as they look in full, of a page of which this is told, if it is one.
pub(super) fn answer(
    query: &Query,
    page: Option<Value>,
    rows: impl Iterator<Item = Value>,
) -> Reply {
    let columns = columns(query);
    let shown = rows.map(|row| pick(row, columns.as_deref()));
    let Some(mut page) = page else { return Reply::Encoded(encoded(shown)) };
    let items: Value = shown.collect();
    page["item_count"] = json!(items.as_array().map_or(0, Vec::len));
    page["items"] = items;
    Reply::Json(page)
}

/// Finds out which rows of a list are shown.
///
/// # Errors
/// When what the query says of pages makes no sense.
pub(super) fn choose<T: Row>(query: &Query, mut rows: Vec<T>) -> Result<Shown<T>, Failure> {
    let page = Page::new(query)?;
    let total = rows.len();
    if let Some(page) = &page {
        page.filter(&mut rows)?;
    }
    let Some(Page { number, size, .. }) = page else {
        let all = 0..rows.len();
        return Ok(Shown { rows: sorted(rows, query, all), page: None });
    };
    let (filtered, first) = (rows.len(), (number - 1).saturating_mul(size));
    if first > filtered {
        let reason =
            format!("Page out of range, page: {number} page size: {size}, len: {filtered}");
        return Err(Failure { error: "page_out_of_range", ..Failure::bad_request(reason) });
    }
    let rows = sorted(rows, query, first..filtered.min(first.saturating_add(size)));
    let page = json!({
        "total_count": total,
        "filtered_count": filtered,
        "page": number,
        "page_size": size,
        "page_count": filtered.div_ceil(size),
    });
    Ok(Shown { rows, page: Some(page) })
}

/// A list of all of these. Each is encoded and forgotten before there is the next: as values they
/// take many times as much memory.
fn encoded(rows: impl Iterator<Item = Value>) -> Vec<u8> {
    let mut list = vec![b'['];
    for (index, row) in rows.enumerate() {
        if index > 0 {
            list.push(b',');
        }
        encode(&mut list, &row);
    }
    list.push(b']');
    list
}

pub(super) fn encode(list: &mut Vec<u8>, row: &Value) {
    serde_json::to_writer(list, row).expect("a value is JSON, and memory takes it");
}

/// Answers a request for one object with those columns of it that were asked for.
pub(super) fn one(call: &Call, object: Value) -> Answer {
    Ok(Reply::Json(pick(object, columns(&call.query).as_deref())))
}

/// The page that is asked for.
struct Page<'a> {
    number: usize,
    size: usize,
    name: &'a str,
    is_pattern: bool,
}

impl<'a> Page<'a> {
    /// `None` where no page is asked for.
    fn new(query: &'a Query) -> Result<Option<Self>, Failure> {
        let Some(number) = query.get("page").filter(|page| !page.is_empty()) else {
            return Ok(None);
        };
        let invalid = || {
            let error = "bad_request";
            Failure { error, ..Failure::bad_request("Pagination parameters are invalid") }
        };
        let number: usize = number.parse().map_err(|_| invalid())?;
        let size = match query.get("page_size") {
            Some(size) => size.parse().map_err(|_| invalid())?,
            None => PAGE_SIZE,
        };
        if number == 0 || size == 0 || size > PAGE_SIZE_MAX {
            let reason =
                format!("Invalid pagination parameters: page number {number}, page size {size}");
            let error = "invalid_pagination_parameters";
            return Err(Failure { error, ..Failure::bad_request(reason) });
        }
        let (name, is_pattern) = (query.get("name").unwrap_or_default(), query.is_set("use_regex"));
        Ok(Some(Self { number, size, name, is_pattern }))
    }

    fn filter<T: Row>(&self, rows: &mut Vec<T>) -> Result<(), Failure> {
        if self.name.is_empty() {
            return Ok(());
        }
        if !self.is_pattern {
            let wanted = self.name.to_lowercase();
            rows.retain(|row| row.key().1.to_text().to_lowercase().contains(&wanted));
            return Ok(());
        }
        let mut pattern = RegexBuilder::new(self.name);
        let pattern = pattern.case_insensitive(true).size_limit(1 << 20).build();
        let pattern = pattern.map_err(|error| Failure::bad_request(error.to_string()))?;
        rows.retain(|row| pattern.is_match(&row.key().1.to_text()));
        Ok(())
    }
}

/// Those rows that come at these places in the order that the query says. Only they are put in
/// order: of many rows, a page costs little more than finding out by what they are ordered.
fn sorted<T: Row>(rows: Vec<T>, query: &Query, places: Range<usize>) -> Vec<T> {
    if places.is_empty() {
        return Vec::new();
    }
    let by = query.get("sort").filter(|sort| !sort.is_empty());
    let values: Vec<Value> = match by {
        None | Some("name") => Vec::new(),
        Some(column) => rows.iter().map(|row| value_of(row, column)).collect(),
    };
    let ascending = |a: usize, b: usize| {
        let by_key = || rows[a].compare_keys(&rows[b]);
        let order = match by {
            None => by_key(),
            Some("name") => {
                let (x, y) = (rows[a].key(), rows[b].key());
                (x.1, x.0).cmp(&(y.1, y.0))
            }
            Some(_) => compare(&values[a], &values[b]).then_with(by_key),
        };
        order.then(a.cmp(&b))
    };
    let is_reverse = query.is_set("sort_reverse");
    let order =
        |a: &usize, b: &usize| if is_reverse { ascending(*b, *a) } else { ascending(*a, *b) };
    let mut chosen: Vec<usize> = (0..rows.len()).collect();
    if places.end < chosen.len() {
        chosen.select_nth_unstable_by(places.end, order);
        chosen.truncate(places.end);
    }
    if places.start > 0 {
        chosen.select_nth_unstable_by(places.start, order);
        chosen.drain(..places.start);
    }
    chosen.sort_unstable_by(order);
    let mut place_of = vec![None; rows.len()];
    for (place, index) in chosen.iter().enumerate() {
        place_of[*index] = Some(place);
    }
    let placed = rows.into_iter().zip(place_of);
    let mut placed: Vec<_> = placed.filter_map(|(row, place)| Some((place?, row))).collect();
    placed.sort_unstable_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, row)| row).collect()
}

/// What is in a column of a row.
fn value_of(row: &impl Row, column: &str) -> Value {
    let own = row.column(column);
    own.unwrap_or_else(|| dotted(&row.json(), column).cloned().unwrap_or(json!(0)))
}

/// What a path of keys with dots between them leads to.
fn dotted<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// Numbers come before everything else, and texts last.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::Null | Value::Bool(_) => 1,
        Value::Object(_) => 2,
        Value::Array(_) => 3,
        Value::String(_) => 4,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default())
        }
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

pub(super) type Columns = Vec<Vec<String>>;

pub(super) fn columns(query: &Query) -> Option<Columns> {
    let columns = query.get("columns")?.split(',').filter(|column| !column.is_empty());
    let path = |column: &str| column.split('.').map(str::to_owned).collect();
    Some(columns.map(path).collect())
}

/// The columns of an object that were asked for; all if none were.
pub(super) fn pick(value: Value, columns: Option<&[Vec<String>]>) -> Value {
    let Some(columns) = columns else { return value };
    let paths: Vec<&[String]> = columns.iter().map(Vec::as_slice).collect();
    pick_paths(value, &paths)
}

fn pick_paths(value: Value, paths: &[&[String]]) -> Value {
    match value {
        Value::Object(object) => {
            let mut picked = Map::new();
            for (key, value) in object {
                let below = paths.iter().filter_map(|path| {
                    let (first, rest) = path.split_first()?;
                    (*first == key).then_some(rest)
                });
                let below: Vec<&[String]> = below.collect();
                if below.iter().any(|rest| rest.is_empty()) {
                    picked.insert(key, value);
                } else if !below.is_empty() {
                    picked.insert(key, pick_paths(value, &below));
                }
            }
            Value::Object(picked)
        }
        Value::Array(values) => values.into_iter().map(|value| pick_paths(value, paths)).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Ready> {
        let row = |(name, messages): (&str, u64)| {
            let json = json!({ "name": name, "messages": messages, "deep": { "n": messages } });
            Ready { vhost: "/".into(), name: name.into(), json }
        };
        [("b1", 5), ("a1", 7), ("B2", 6), ("c3", 0)].map(row).into()
    }

    fn names(query: &str) -> Vec<String> {
        let (query, mut rows) = (Query::new(query), rows());
        if let Some(page) = Page::new(&query).expect("makes sense") {
            page.filter(&mut rows).expect("a pattern");
        }
        let all = 0..rows.len();
        sorted(rows, &query, all).iter().map(|row| row.name.to_string()).collect()
    }

    #[test]
    fn rows_are_sorted_by_any_column() {
        assert_eq!(names(""), ["B2", "a1", "b1", "c3"]);
        assert_eq!(names("sort=messages"), ["c3", "b1", "B2", "a1"]);
        assert_eq!(names("sort=deep.n&sort_reverse=true"), ["a1", "B2", "b1", "c3"]);
        assert_eq!(names("sort=none"), ["B2", "a1", "b1", "c3"]);
    }

    #[test]
    fn a_page_has_what_is_at_its_place_in_the_order_of_all() {
        for query in ["", "sort=name", "sort=messages", "sort=deep.n&sort_reverse=true"] {
            let query = Query::new(query);
            let names = |places| -> Vec<_> {
                sorted(rows(), &query, places).iter().map(|row| row.name.to_string()).collect()
            };
            let all = names(0..4);
            for (first, end) in [(0, 1), (0, 3), (1, 2), (1, 4), (3, 4), (2, 2), (4, 4)] {
                assert_eq!(names(first..end), all[first..end]);
            }
        }
    }

    #[test]
    fn rows_are_found_by_a_part_of_their_name_or_a_pattern() {
        assert_eq!(names("page=1&name=B"), ["B2", "b1"]);
        assert_eq!(names("page=1&name=%5E%5Bac%5D&use_regex=true"), ["a1", "c3"]);
        assert_eq!(names("name=B"), ["B2", "a1", "b1", "c3"], "only pages are filtered");
    }

    #[test]
    fn a_list_is_encoded_row_by_row() {
        let list = |rows: &[Value]| String::from_utf8(encoded(rows.iter().cloned()));
        assert_eq!(list(&[]).expect("is UTF-8"), "[]");
        assert_eq!(list(&[json!({"a": 1}), json!(2)]).expect("is UTF-8"), r#"[{"a":1},2]"#);
    }

    #[test]
    fn what_makes_no_sense_is_no_page() {
        for query in ["page=0", "page=x", "page=1&page_size=501", "page=1&page_size=0"] {
            assert!(Page::new(&Query::new(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn a_list_is_sent_as_it_is_read_where_nobody_asks_for_another_order() {
        for (query, expected) in [
            ("", true),
            ("columns=name&page=&sort=", true),
            ("page=1", false),
            ("sort=name", false),
            ("sort_reverse=true", false),
        ] {
            assert_eq!(is_whole_as_read(&Query::new(query)), expected, "{query}");
        }
    }

    #[test]
    fn names_are_all_it_takes_to_put_a_list_in_their_order() {
        for (query, expected) in [
            ("page=1", None),
            ("page=2&sort=name&sort_reverse=true&name=a", None),
            ("page=1&sort=", None),
            ("sort=messages", Some("messages")),
        ] {
            assert_eq!(column_to_sort_by(&Query::new(query)), expected, "{query}");
        }
    }

    #[test]
    fn marks_are_in_the_order_of_their_rows() {
        for query in ["sort=messages", "sort=deep.n&sort_reverse=true", "sort=none"] {
            let query = Query::new(query);
            let column = column_to_sort_by(&query).expect("is one");
            let marks: Vec<_> = rows().iter().map(|row| Mark::of(row, column)).collect();
            let marked = sorted(marks, &query, 0..4).into_iter().map(|mark| mark.name);
            assert!(marked.eq(sorted(rows(), &query, 0..4).into_iter().map(|row| row.name)));
        }
    }

    #[test]
    fn names_are_sorted_by_a_column_that_was_found_out_and_by_their_rank() {
        let all: Vec<_> = ["a", "b", "c", "d"]
            .map(|name| QueueName { vhost: "/".into(), name: name.into() })
            .into();
        let sorted = |query: &str| {
            let column = |rank| json!([1, 5, 1, 3][rank]);
            let named = |(rank, name)| Named { name, rank, column: column(rank) };
            let rows = all.iter().enumerate().map(named).collect();
            let rows = choose(&Query::new(query), rows).expect("makes sense").rows;
            rows.iter().map(|row| row.name.name.to_string()).collect::<String>()
        };
        assert_eq!(sorted(""), "abcd");
        assert_eq!(sorted("sort=name&sort_reverse=true"), "dcba");
        assert_eq!(sorted("sort=messages"), "acdb");
        assert_eq!(sorted("page=1&page_size=3&sort=messages&sort_reverse=true"), "bdc");
        assert_eq!(sorted("page=2&page_size=3&sort=messages&sort_reverse=true"), "a");
        assert_eq!(sorted("page=1&name=C&sort=messages"), "c");
    }

    #[test]
    fn columns_may_lie_below_others() {
        let object = json!({ "a": { "b": 1, "c": 2 }, "d": [{ "e": 1, "f": 2 }], "g": 3 });
        let picked = |text: &str| {
            let query = Query::new(&format!("columns={text}"));
            pick(object.clone(), columns(&query).as_deref())
        };
        assert_eq!(picked("a.b,g"), json!({ "a": { "b": 1 }, "g": 3 }));
        assert_eq!(picked("a,d.e"), json!({ "a": { "b": 1, "c": 2 }, "d": [{ "e": 1 }] }));
    }
}
