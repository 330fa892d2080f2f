//! What the broker is told next, and what the judge is told of it.
//!
//! The judge hears of each frame by itself. The broker may take a content whole, and must have done
//! then what it does with its frames; so the judge need not know which it was.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use warren_core::amqp::Content;
use warren_core::{Broker, ConnectionId, Input, Instant};

use super::news;
use crate::judge::{News, Told};
use crate::meter::in_core;

/// One thing that happened.
#[derive(Debug)]
pub(super) struct Heard {
    /// What the broker is told, if it is told anything.
    input: Option<Input>,
    told: Told,
    /// The content that begins with this frame, if the broker is to have it whole: its bytes.
    content: Option<Bytes>,
}

impl Heard {
    pub(super) fn new(input: Option<Input>, told: Told) -> Self {
        Self { input, told, content: None }
    }

    /// A frame with which a content may begin.
    pub(super) fn with(input: Input, told: Told, content: Option<Bytes>) -> Self {
        Self { input: Some(input), told, content }
    }

    /// Tells the broker, and notes what the judge is to be told, each with the news then. What is
    /// `behind` it is of the same batch; a content's other frames are there, unless the batch ends.
    pub(super) fn tell(
        self,
        now: u64,
        behind: &mut impl ExactSizeIterator<Item = Self>,
        broker: &mut Broker,
        links: &BTreeMap<ConnectionId, usize>,
        told: &mut VecDeque<(Told, News)>,
    ) {
        let now = Instant::from_nanos(now);
        let Self { input, told: what, content } = self;
        if let (Some(Input::Frame(id, _)), Some(content)) = (&input, content)
            && behind.len() >= Content::FRAMES - 1
        {
            let news_before = [(); Content::FRAMES - 1].map(|()| news(broker, links));
            if in_core(|| take_whole(broker, now, *id, content)) {
                in_core(|| drop(input));
                let mut what = what;
                for news_then in news_before {
                    told.push_back((what, news_then));
                    let frame = behind.next().expect("so many are there");
                    in_core(|| drop(frame.input));
                    what = frame.told;
                }
                told.push_back((what, news(broker, links)));
                return;
            }
        }
        if let Some(input) = input {
            in_core(|| broker.handle(now, input));
        }
        told.push_back((what, news(broker, links)));
    }
}

/// Hands the broker the content that these bytes are. Whether it took it.
fn take_whole(broker: &mut Broker, now: Instant, id: ConnectionId, bytes: Bytes) -> bool {
    let content = Content::read(&bytes, u32::MAX).expect("it was one before");
    broker.handle_content(now, id, &content)
}
