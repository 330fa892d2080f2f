//! What was found in a data directory, in words.

use std::fmt::{self, Display};
use std::path::Path;

use warren_core::{Basis, CheckReport, Loss, LostMessages, Problem, SalvageReport};

use crate::size;

/// What was found in a data directory, or was done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Findings {
    /// In lines.
    pub(crate) lines: Vec<String>,
    /// What it comes to.
    pub(crate) verdict: String,
    /// Whether the directory is as it should be now.
    pub(crate) is_healthy: bool,
}

impl Findings {
    /// For people: all that was found in this directory.
    pub(crate) fn written(&self, dir: &Path) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text += line;
            text += "\n";
        }
        text + &format!("{}: {}\n", dir.display(), self.verdict)
    }
}

impl From<CheckReport> for Findings {
    fn from(report: CheckReport) -> Self {
        checked(&report)
    }
}

impl From<SalvageReport> for Findings {
    fn from(report: SalvageReport) -> Self {
        salvaged(&report)
    }
}

fn checked(report: &CheckReport) -> Findings {
    let CheckReport { segments, batches, records, bytes, .. } = *report;
    let mut lines = vec![format!(
        "{} of files: {} in use, with {} of {}",
        size::written(bytes),
        Count(segments, "segment", "segments"),
        Count(batches, "batch", "batches"),
        Count(records, "record", "records"),
    )];
    let CheckReport { queues, exchanges, policies, bindings, messages, values, .. } = *report;
    let contents = Contents { queues, exchanges, policies, bindings, messages, values }.to_string();
    lines.push(match report.basis {
        Basis::Nothing => "what queues and messages there are cannot be told".into(),
        Basis::Checkpoint => format!("{contents}, as of the last checkpoint"),
        Basis::Log => contents,
    });
    lines.extend(report.problems.iter().map(|Problem { file, offset, text }| {
        format!("problem: {file} at offset {offset}: {text}")
    }));
    lines.push(match &report.refusal {
        Some(error) => format!("a broker would not start: {error}"),
        None if report.problems.is_empty() => "a broker would start".into(),
        None => "a broker would start, and end when it has to read what is damaged".into(),
    });
    let verdict = match (report.problems.len() as u64, &report.refusal) {
        (0, None) => "nothing is wrong".into(),
        (0, Some(_)) => "it cannot be used as it is".into(),
        (problems, _) => Count(problems, "problem", "problems").to_string(),
    };
    Findings { lines, verdict, is_healthy: report.is_clean() }
}

fn salvaged(report: &SalvageReport) -> Findings {
    let mut lines = Vec::new();
    for Loss { file, from, to, text, messages } in &report.losses {
        // What is not there has no place.
        let place = match to > from {
            true => format!("{file} from offset {from} to {to}"),
            false => file.to_string(),
        };
        lines.push(format!("dropped: {place}: {text}"));
        lines.extend(messages.iter().map(|lost| format!("    {}", lost_messages(lost))));
    }
    let SalvageReport { queues, exchanges, policies, bindings, messages, values, .. } = *report;
    let contents = Contents { queues, exchanges, policies, bindings, messages, values };
    lines.push(format!("kept: {contents}"));
    lines.extend(report.unnamed_queues.iter().map(|name| {
        format!("    a queue whose name is lost: it is called {name} in virtual host / now")
    }));
    if report.copied > 0 {
        let messages = Count(report.copied, "message was", "messages were");
        lines.push(format!("    {messages} copied to new segments"));
    }
    Findings { lines, verdict: given_up(&report.losses), is_healthy: true }
}

fn given_up(losses: &[Loss]) -> String {
    if losses.is_empty() {
        return "nothing had to be given up".into();
    }
    let messages = losses.iter().flat_map(|loss| &loss.messages);
    let count = messages.clone().filter_map(|lost| lost.count).sum();
    let is_exact = messages.clone().all(|lost| lost.count.is_some());
    let lost = match (count, is_exact) {
        (0, true) => "no message is known to be lost".into(),
        (count, true) => format!("{} known to be lost", Count(count, "message is", "messages are")),
        (count, false) => format!("more than {} lost", Count(count, "message is", "messages are")),
    };
    format!("not everything could be kept; {lost}; a broker can start")
}

fn lost_messages(LostMessages { queue, first, last, count }: &LostMessages) -> String {
    match count {
        Some(1) if first == last => format!("queue {queue}: the message with position {first}"),
        Some(count) => {
            let messages = Count(*count, "message", "messages");
            format!("queue {queue}: {messages} with positions from {first} to {last}")
        }
        None => format!(
            "queue {queue}: it is not known how many messages, with positions from {first} to \
             {last}"
        ),
    }
}

/// So many things: what one is called, and what several are.
struct Count(u64, &'static str, &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, one, several) = *self;
        write!(f, "{count} {}", if count == 1 { one } else { several })
    }
}

/// How much of what there is.
struct Contents {
    queues: u64,
    exchanges: u64,
    policies: u64,
    bindings: u64,
    messages: u64,
    /// That are remembered by what deduplicates.
    values: u64,
}

impl Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queues, exchanges, policies, bindings, messages, values } = *self;
        write!(
            f,
            "{} in {}; {} and {} of their own",
            Count(messages, "message", "messages"),
            Count(queues, "durable queue", "durable queues"),
            Count(exchanges, "exchange", "exchanges"),
            Count(bindings, "binding", "bindings"),
        )?;
        if policies > 0 {
            write!(f, "; {}", Count(policies, "policy", "policies"))?;
        }
        match values {
            0 => Ok(()),
            _ => write!(f, "; {}", Count(values, "remembered value", "remembered values")),
        }
    }
}

#[cfg(test)]
mod tests {
    use warren_core::{FileId, StartError};

    use super::*;

    #[test]
    fn what_is_in_a_healthy_directory_is_told_in_numbers() {
        let report = CheckReport {
            segments: 1,
            batches: 300,
            records: 301,
            queues: 2,
            policies: 1,
            messages: 300,
            values: 7,
            bytes: 412 << 20,
            basis: Basis::Log,
            ..CheckReport::default()
        };
        let findings = checked(&report);
        assert!(findings.is_healthy);
        assert_eq!(
            findings.written(Path::new("d")),
            "412.0 MiB of files: 1 segment in use, with 300 batches of 301 records\n\
             300 messages in 2 durable queues; 0 exchanges and 0 bindings of their own; 1 policy; \
             7 remembered values\n\
             a broker would start\n\
             d: nothing is wrong\n"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_a_broker_makes_of_it() {
        let (file, offset) = (FileId::Segment(10), 4096);
        let problem = Problem { file, offset, text: "it is missing".into() };
        let mut report = CheckReport {
            problems: vec![problem],
            basis: Basis::Checkpoint,
            ..CheckReport::default()
        };
        let findings = checked(&report);
        assert!(!findings.is_healthy);
        assert_eq!(findings.verdict, "1 problem");
        assert_eq!(
            findings.lines[1..],
            [
                "0 messages in 0 durable queues; 0 exchanges and 0 bindings of their own, as of \
                 the last checkpoint",
                "problem: 000000000000000a.log at offset 4096: it is missing",
                "a broker would start, and end when it has to read what is damaged",
            ]
        );
        report.refusal = Some(StartError::Newer { file, version: 2 });
        report.basis = Basis::Nothing;
        report.problems.clear();
        let findings = checked(&report);
        assert!(!findings.is_healthy);
        assert_eq!(findings.verdict, "it cannot be used as it is");
        assert_eq!(
            findings.lines[1..],
            [
                "what queues and messages there are cannot be told",
                "a broker would not start: 000000000000000a.log was written by a newer version \
                 of warren (format 2)",
            ]
        );
    }

    #[test]
    fn what_was_given_up_is_told_with_its_place_and_its_messages() {
        let file = FileId::Segment(1);
        let lost = |first, last, count| LostMessages {
            queue: "q in virtual host /".into(),
            first,
            last,
            count,
        };
        let bytes = Loss {
            file,
            from: 100,
            to: 200,
            text: "bytes".into(),
            messages: vec![lost(3, 3, Some(1)), lost(5, 9, Some(4)), lost(20, 30, None)],
        };
        let absent =
            Loss { from: 0, to: 0, text: "absent".into(), messages: vec![], ..bytes.clone() };
        let report = SalvageReport {
            losses: vec![absent, bytes],
            queues: 1,
            unnamed_queues: vec!["salvaged.4".into()],
            messages: 7,
            copied: 6,
            ..SalvageReport::default()
        };
        let findings = salvaged(&report);
        assert!(findings.is_healthy);
        assert_eq!(
            findings.written(Path::new("d")),
            "dropped: 0000000000000001.log: absent\n\
             dropped: 0000000000000001.log from offset 100 to 200: bytes\n    \
             queue q in virtual host /: the message with position 3\n    \
             queue q in virtual host /: 4 messages with positions from 5 to 9\n    \
             queue q in virtual host /: it is not known how many messages, with positions from \
             20 to 30\n\
             kept: 7 messages in 1 durable queue; 0 exchanges and 0 bindings of their own\n    \
             a queue whose name is lost: it is called salvaged.4 in virtual host / now\n    \
             6 messages were copied to new segments\n\
             d: not everything could be kept; more than 5 messages are lost; a broker can start\n"
        );
        let nothing = salvaged(&SalvageReport::default());
        assert_eq!(nothing.verdict, "nothing had to be given up");
    }
}
