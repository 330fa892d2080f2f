//! Reads what `strace -f -xx` wrote: which system calls began and ended in which order.

use std::collections::BTreeMap;

/// One system call. Begin and end are line numbers of the trace: of two events, the one with the
/// lower number came first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// As in `fdatasync`.
    pub(crate) name: String,
    /// The file descriptor, if that is what its first argument is.
    pub(crate) file: Option<u32>,
    /// All the bytes among its arguments, in hexadecimal digits.
    pub(crate) bytes: String,
    /// What it returned; `None` if it did not, or not a number.
    pub(crate) result: Option<i64>,
    /// When it began.
    pub(crate) begin: usize,
    /// When it ended; never, if the process ended first.
    pub(crate) end: usize,
}

/// All calls of a trace, in the order in which they began.
pub(crate) fn read(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    // By thread: its call that has not ended.
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for (line_number, line) in trace.lines().enumerate() {
        let Some((thread, event)) = line.trim_start().split_once(' ') else { continue };
        let event = event.trim_start();
        if let Some((_, rest)) = event.strip_prefix("<... ").and_then(|e| e.split_once(" resumed>"))
        {
            let index = open.remove(thread).expect("what is resumed was begun");
            calls[index].bytes.push_str(&bytes_in(rest));
            calls[index].result = result_of(rest);
            calls[index].end = line_number;
        } else if let Some((name, arguments)) = event.split_once('(') {
            let file = arguments.split([',', ')', ' ', '<']).next().and_then(|fd| fd.parse().ok());
            let is_open = event.ends_with("<unfinished ...>");
            if is_open {
                open.insert(thread, calls.len());
            }
            calls.push(Call {
                name: name.to_owned(),
                file,
                bytes: bytes_in(arguments),
                result: result_of(arguments).filter(|_| !is_open),
                begin: line_number,
                end: if is_open { usize::MAX } else { line_number },
            });
        }
    }
    calls
}

/// The digits of every `\xNN`.
fn bytes_in(text: &str) -> String {
    text.split("\\x").skip(1).filter_map(|rest| rest.get(..2)).collect()
}

fn result_of(text: &str) -> Option<i64> {
    let (_, result) = text.rsplit_once(" = ")?;
    result.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_with_what_came_in_between() {
        let trace = "\
            12 pwritev(5, [{iov_base=\"\\x41\\x42\", iov_len=2}, {iov_base=\"\\x43\", iov_len=1}], 2, 64) = 3\n\
            12 fdatasync(5 <unfinished ...>\n\
            11 sendto(9, \"\\x01\", 1, MSG_NOSIGNAL, NULL, 0) = 1\n\
            12 <... fdatasync resumed>)         = 0\n\
            11 fdatasync(6)  = -1 EIO (Input/output error)\n\
            11 +++ killed by SIGKILL +++\n";
        let call = |name: &str, file, bytes: &str, result, begin, end| {
            let (name, bytes) = (name.to_owned(), bytes.to_owned());
            Call { name, file: Some(file), bytes, result: Some(result), begin, end }
        };
        let expected = [
            call("pwritev", 5, "414243", 3, 0, 0),
            call("fdatasync", 5, "", 0, 1, 3),
            call("sendto", 9, "01", 1, 2, 2),
            call("fdatasync", 6, "", -1, 4, 4),
        ];
        assert_eq!(read(trace), expected);
    }
}
