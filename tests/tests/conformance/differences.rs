//! Where Warren answers otherwise than the recordings on purpose: `conformance/differences.json`,
//! with the reasons.
//!
//! The list stays true: what is listed must differ, and a wire case exactly as it is listed.

use crate::recording::path_of;
use crate::wire_cases::Case;
use crate::wire_player::Answer;
use serde_json::Value;
use std::fs;

/// Codes of `Connection.Close` that fit where RabbitMQ's own answer is an accident.
const FITTING: [u64; 8] = [403, 501, 502, 503, 504, 505, 530, 540];

/// The list.
pub(crate) struct Differences(Value);

impl Differences {
    /// Reads the list. Panics if an entry has no reason.
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(path_of("differences.json")).expect("the list is there");
        let list: Value = serde_json::from_str(&text).expect("the list is JSON");
        for section in ["conversations", "wire"] {
            for entry in list[section].as_array().expect("the list has two sections") {
                let reason = entry["reason"].as_str().unwrap_or("");
                assert!(reason.len() > 20, "a difference needs a reason: {entry}");
            }
        }
        Differences(list)
    }

    /// Whether this conversation of this recording is meant to part from it.
    pub(crate) fn lists_conversation(&self, recording: &str, number: usize) -> bool {
        let mut entries = self.0["conversations"].as_array().into_iter().flatten();
        entries.any(|entry| entry["recording"] == recording && entry["conversation"] == number)
    }

    /// Judges the answer to a wire case; the error says what is wrong with it. Of a broker that is
    /// not ours nothing but the listed or the recorded answer is asked; ours must give the listed
    /// one.
    pub(crate) fn judge_wire(
        &self,
        case: &Case,
        recorded: &Value,
        answer: &Answer,
        is_own: bool,
    ) -> Result<(), String> {
        let mut entries = self.0["wire"].as_array().into_iter().flatten();
        let as_recorded = is_fitting(case, recorded, answer);
        let complain = |expected: &Value| {
            let accident = if case.accident { " (or any fitting connection error)" } else { "" };
            let (answers, ended) = (&expected["answers"], &expected["ended"]);
            Err(format!(
                "{}\n   expected {answers} {ended}{accident}\n   got      {}",
                case.name, answer
            ))
        };
        match entries.find(|entry| entry["case"] == case.name) {
            None if as_recorded => Ok(()),
            None => complain(recorded),
            Some(_) if as_recorded && !is_own => Ok(()),
            Some(_) if as_recorded => {
                Err(format!("{}\n   is listed as a difference and is none", case.name))
            }
            Some(entry) if alike(entry, answer) => Ok(()),
            Some(entry) => complain(entry),
        }
    }
}

fn is_fitting(case: &Case, recorded: &Value, answer: &Answer) -> bool {
    if case.accident {
        return answer.closed
            && answer.rows.iter().all(|row| {
                row[0] == "Connection.Close"
                    && row[2].as_u64().is_some_and(|c| FITTING.contains(&c))
            });
    }
    alike(recorded, answer)
}

/// Row by row the same, but for texts that print Erlang terms, which are not for copying. How it
/// ended counts where no `Connection.Close` says it.
fn alike(expected: &Value, answer: &Answer) -> bool {
    let rows = expected["answers"].as_array().expect("an expectation has answers");
    let told = rows.iter().any(|row| row[0] == "Connection.Close");
    rows.len() == answer.rows.len()
        && rows.iter().zip(&answer.rows).all(|(row, got)| same_row(row, got))
        && (told || (expected["ended"] == "closed") == answer.closed)
}

fn same_row(expected: &Value, got: &Value) -> bool {
    let (Some(expected), Some(got)) = (expected.as_array(), got.as_array()) else { return false };
    let is_erlang = |cell: &Value| cell.as_str().is_some_and(|text| text.contains("<<"));
    expected.len() == got.len() && expected.iter().zip(got).all(|(e, g)| is_erlang(e) || e == g)
}
