//! Rows, in each of the forms in which they are printed. Values look as Erlang has them, for which
//! scripts were written: tables are lists of pairs, and lists have brackets.

use std::fmt::Write;

use serde_json::Value;

/// Columns, with their names.
pub(super) type Row = Vec<(&'static str, Value)>;

/// A line for each, a tab between two columns, and the names of the columns in front.
pub(super) fn tabbed(rows: &[Row], has_headers: bool) -> String {
    let mut lines = Vec::new();
    if let Some(first) = rows.first().filter(|_| has_headers) {
        lines.push(first.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    }
    lines.extend(rows.iter().map(|row| row.iter().map(|(_, value)| shown(value)).collect()));
    let lines: Vec<_> = lines.iter().map(|cells| cells.join("\t")).collect();
    lines.join("\n")
}

/// The same as values separated by commas (RFC 4180), of which each is quoted.
pub(super) fn csv(rows: &[Row]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut lines = Vec::new();
    if let Some(first) = rows.first() {
        lines.push(first.iter().map(|(name, _)| quoted(name)).collect::<Vec<_>>());
    }
    let cells = |row: &Row| row.iter().map(|(_, value)| quoted(&raw(value))).collect();
    lines.extend(rows.iter().map(cells));
    let lines: Vec<_> = lines.iter().map(|cells| cells.join(",")).collect();
    lines.join("\n")
}

/// An array of objects, a line for each, whose keys are in the order of the columns.
pub(super) fn json(rows: &[Row]) -> String {
    let mut text = "[".to_owned();
    for (index, row) in rows.iter().enumerate() {
        text += if index == 0 { "\n{" } else { "\n,{" };
        for (index, (name, value)) in row.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let _ = write!(text, "{separator}{}:{value}", Value::from(*name));
        }
        text.push('}');
    }
    text + "\n]"
}

/// With lines around every cell.
pub(super) fn pretty(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut lines = vec![first.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| row.iter().map(|(_, value)| shown(value)).collect()));
    let width_of = |column: usize| {
        lines.iter().filter_map(|cells| cells.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<_> = (0..first.len()).map(|column| width_of(column).unwrap_or(0)).collect();
    let border = |[left, middle, right]: [&str; 3]| {
        let parts: Vec<_> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}", parts.join(middle))
    };
    let drawn = lines.iter().map(|cells| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
        format!("│{}│", cells.collect::<Vec<_>>().join("│"))
    });
    let drawn: Vec<_> = drawn.collect();
    let between = format!("\n{}\n", border(["├", "┼", "┤"]));
    let (top, bottom) = (border(["┌", "┬", "┐"]), border(["└", "┴", "┘"]));
    format!("{top}\n{}\n{bottom}", drawn.join(&between))
}

/// A value in a cell: on one line, and in its column.
fn shown(value: &Value) -> String {
    let text = raw(value);
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars()
        .map(|character| match character.is_control() {
            true => character.escape_default().to_string(),
            false => character.to_string(),
        })
        .collect()
}

/// A value as it is.
fn raw(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(raw).collect();
            format!("[{}]", values.join(", "))
        }
        value => term(value),
    }
}

/// A value within another, as an Erlang term.
fn term(value: &Value) -> String {
    match value {
        Value::Null => "undefined".to_owned(),
        Value::String(_) => value.to_string(),
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(term).collect();
            format!("[{}]", values.join(","))
        }
        Value::Object(object) => {
            let pairs = object
                .iter()
                .map(|(key, value)| format!("{{{},{}}}", Value::from(key.as_str()), term(value)));
            format!("[{}]", pairs.collect::<Vec<_>>().join(","))
        }
        number_or_flag => number_or_flag.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows() -> Vec<Row> {
        let row = |name: &str, arguments: Value| vec![("name", json!(name)), ("args", arguments)];
        let arguments = json!({ "x-a": 1, "x-b": "two", "x-c": [true, {"d": "e"}] });
        vec![row("q,1", arguments), row("tab\there", json!({})), row("n", json!(["a", "b"]))]
    }

    #[test]
    fn columns_have_tabs_between_them_and_tables_are_lists_of_pairs() {
        let expected = "q,1\t[{\"x-a\",1},{\"x-b\",\"two\"},{\"x-c\",[true,[{\"d\",\"e\"}]]}]\n\
                        tab\\there\t[]\nn\t[a, b]";
        assert_eq!(tabbed(&rows(), false), expected);
        assert_eq!(tabbed(&rows(), true), format!("name\targs\n{expected}"));
        assert_eq!(tabbed(&[], true), "");
    }

    #[test]
    fn values_between_commas_are_quoted() {
        let rows = [vec![("name", json!("q,1")), ("args", json!({ "x-a": "b" }))]];
        let expected = "\"name\",\"args\"\n\"q,1\",\"[{\"\"x-a\"\",\"\"b\"\"}]\"";
        assert_eq!(csv(&rows), expected);
    }

    #[test]
    fn an_object_has_its_keys_in_order() {
        let rows = [vec![("name", json!("q")), ("messages", json!(3))], vec![("name", json!("r"))]];
        let text = json(&rows);
        assert_eq!(text, "[\n{\"name\":\"q\",\"messages\":3}\n,{\"name\":\"r\"}\n]");
        assert_eq!(super::json(&[]), "[\n]");
    }

    #[test]
    fn people_get_lines_around_cells() {
        let rows = [vec![("name", json!("q")), ("messages", json!(3))]];
        let expected = "┌──────┬──────────┐\n│ name │ messages │\n├──────┼──────────┤\n\
                        │ q    │ 3        │\n└──────┴──────────┘";
        assert_eq!(pretty(&rows), expected);
    }
}
