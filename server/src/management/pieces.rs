//! Answers that are made piece by piece, as they are sent: of what is long there is never more in
//! memory than what is on its way. Who takes nothing is not waited for without end, and who takes
//! all of it knows by its end that it is all.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tracing::debug;

use super::call::{Query, Reply};
use super::page::{Columns, columns, encode, pick};
use crate::http::Pieces;

/// So many pieces of a list wait to be sent: while one is on its way, the next is made.
const PIECES_WAITING: usize = 1;

/// For how long nobody may take one.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer that is written in pieces, with the columns that a query asks for.
pub(super) fn in_pieces(
    query: &Query,
    write: impl AsyncFnOnce(Writer) -> Result<(), Untaken> + 'static,
) -> Reply {
    let (writer, pieces) = Writer::new(query);
    spawn_local(async move {
        if let Err(Untaken) = write(writer).await {
            debug!("nobody takes the rest of a list");
        }
    });
    Reply::Pieces(pieces)
}

/// Who asked takes no more of it.
#[derive(Debug)]
pub(super) struct Untaken;

/// Writes JSON in pieces, most of it rows of lists.
pub(super) struct Writer {
    pieces: mpsc::Sender<Option<Bytes>>,
    columns: Option<Columns>,
    /// Whether the list that is being written has rows.
    has_any: bool,
}

impl Writer {
    fn new(query: &Query) -> (Self, Pieces) {
        let (pieces, taken) = mpsc::channel(PIECES_WAITING);
        (Self { pieces, columns: columns(query), has_any: false }, taken)
    }

    /// Writes some rows, and waits until there is room for more.
    pub(super) async fn write(&mut self, rows: impl Iterator<Item = Value>) -> Result<(), Untaken> {
        let mut piece = Vec::new();
        for row in rows {
            piece.push(if self.has_any { b',' } else { b'[' });
            self.has_any = true;
            encode(&mut piece, &pick(row, self.columns.as_deref()));
        }
        self.text(piece).await
    }

    /// Ends a list. There may be another behind it.
    pub(super) async fn close(&mut self) -> Result<(), Untaken> {
        let text: &[u8] = if self.has_any { b"]" } else { b"[]" };
        self.has_any = false;
        self.text(text.into()).await
    }

    /// Writes what is around lists.
    pub(super) async fn text(&mut self, text: Vec<u8>) -> Result<(), Untaken> {
        if text.is_empty() {
            return Ok(());
        }
        self.send(Some(text.into())).await
    }

    /// Ends all of it. What is dropped without that breaks the connection.
    pub(super) async fn end(self) -> Result<(), Untaken> {
        self.send(None).await
    }

    async fn send(&self, piece: Option<Bytes>) -> Result<(), Untaken> {
        match timeout(PATIENCE, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Untaken),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_list_in_pieces_is_the_same_list() {
        let written = async |parts: &'static [&'static [u64]]| {
            let (mut writer, mut pieces) = Writer::new(&Query::new("columns=a"));
            let write = async move {
                for part in parts {
                    let rows = part.iter().map(|n| json!({ "a": n, "b": 0 }));
                    writer.write(rows).await.expect("is taken");
                }
                writer.close().await.expect("is taken");
                writer.end().await.expect("is taken");
            };
            let read = async {
                let mut text = Vec::new();
                while let Some(piece) = pieces.recv().await.expect("has an end") {
                    text.extend(piece);
                }
                String::from_utf8(text).expect("is UTF-8")
            };
            tokio::join!(write, read).1
        };
        assert_eq!(written(&[]).await, "[]");
        assert_eq!(written(&[&[], &[1, 2], &[], &[3]]).await, r#"[{"a":1},{"a":2},{"a":3}]"#);
        let (mut writer, pieces) = Writer::new(&Query::new(""));
        drop(pieces);
        writer.write([json!(1)].into_iter()).await.expect_err("nobody takes it");
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn who_takes_nothing_is_not_waited_for_without_end() {
        let (mut writer, _pieces) = Writer::new(&Query::new(""));
        writer.write([json!(1)].into_iter()).await.expect("there is room for it");
        writer.write([json!(2)].into_iter()).await.expect_err("nobody takes the one before it");
    }
}
