//! A run as a page for the browser: one file that loads nothing.
//!
//! What the page shows is in it as JSON; how it shows it is in `page.html`, `page.css` and
//! `page.js`.

use serde_json::{Value, json};
use warren_sim::plan::Plan;
use warren_sim::run::Outcome;
use warren_sim::trace::Line;

use crate::report::{self, Name};

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page of a run whose trace was kept.
pub(crate) fn page(name: &Name, plan: &Plan, outcome: &Outcome) -> String {
    let mut run = report::json_of(name, outcome);
    let failure = outcome.failure.as_ref().map(|failure| {
        json!({ "checker": failure.checker, "text": failure.text, "message": failure.message })
    });
    let begun = outcome.course.requests.len();
    run.insert("failure".into(), failure.into());
    run.insert("phase".into(), outcome.phase.into());
    run.insert("setup".into(), plan.setup.to_string().into());
    run.insert("steps".into(), plan.steps.iter().map(ToString::to_string).collect());
    run.insert("steps_begun".into(), begun.min(plan.steps.len()).into());
    run.insert("lines".into(), outcome.trace.iter().map(line).collect());
    // Nothing in the data can end the element that it stands in.
    let data = Value::Object(run).to_string().replace('<', "\\u003c");
    HTML.replacen("{{title}}", &text(&name.to_string()), 1)
        .replacen("{{style}}", STYLE, 1)
        .replacen("{{script}}", SCRIPT, 1)
        .replacen("{{run}}", &data, 1)
}

/// A line as short as can be: when, who, what, the log's two positions, and the queue if there is
/// one.
fn line(line: &Line) -> Value {
    let Line { at_ns, who, what, queue, log } = line;
    match queue {
        None => json!([at_ns, who, what, log.0, log.1]),
        Some(q) => json!([at_ns, who, what, log.0, log.1, q.name, q.ready, q.unacked]),
    }
}

/// Text as it stands in HTML.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
