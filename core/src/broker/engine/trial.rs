//! Where a message would go, were it published now: for people who ask before they publish, or who
//! wonder where one went.
//!
//! It is found by the walk that messages go ([`routing`](super::routing)), which is only followed
//! here; so it cannot differ from what happens. Nothing changes by it: chance is not asked, and
//! all that it may choose is told as what may be.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::super::exchange::{Envelope, Exchange};
use super::super::headers::SortedHeaders;
use super::super::queue::QueueId;
use super::super::refusal::Refusal;
use super::super::{binding, delay, keys};
use super::routing::{Follow, StepBy, StepEnd};
use super::{Engine, VhostId};
use crate::amqp::{BasicProperties, FieldTable, ShortStr};
use crate::listing::{Course, CourseBinding, CourseBy, CourseEnd, CourseQueue, CourseStep};

/// No more bindings of a step are looked at, and no more of them are told.
const BINDINGS_LOOKED_AT: usize = 200;
const BINDINGS_TOLD: usize = 20;

/// Takes note of the steps of a walk.
struct Notes<'a> {
    limit: usize,
    exchanges: Vec<&'a Exchange>,
    steps: Vec<(&'a ShortStr, StepEnd<'a>, StepBy)>,
    count: u64,
    /// What was reached by a step that is always taken, from where, to find out what is certain.
    edges: BTreeMap<&'a ShortStr, BTreeSet<&'a ShortStr>>,
    /// Queues, by the exchanges that send to them in any case.
    sure: Vec<(&'a ShortStr, QueueId)>,
}

impl<'a> Follow<'a> for Notes<'a> {
    const IS_TRIAL: bool = true;

    fn reach(&mut self, exchange: &'a Exchange) {
        self.exchanges.push(exchange);
    }

    fn step(&mut self, from: &'a ShortStr, end: StepEnd<'a>, by: StepBy) {
        self.count += 1;
        if self.steps.len() < self.limit {
            self.steps.push((from, end, by));
        }
        match end {
            _ if by == StepBy::Chance => {}
            StepEnd::Exchange(name) => {
                self.edges.entry(from).or_default().insert(name);
            }
            StepEnd::Queue(queue) => self.sure.push((from, queue)),
            StepEnd::Reply => {}
        }
    }
}

impl Engine {
    /// Where a message with this routing key and these properties would go that is published to an
    /// exchange; no more than `limit` steps and queues are told of.
    ///
    /// # Errors
    /// As for a publisher: there is no such exchange, it is internal, or the headers that name
    /// further routing keys make no sense.
    pub(crate) fn course(
        &self,
        vhost: VhostId,
        exchange: &ShortStr,
        key: &ShortStr,
        properties: &BasicProperties,
        limit: usize,
    ) -> Result<Course, Refusal> {
        let start = self.check_publish(vhost, None, exchange)?;
        let keys = keys::of(key, properties)?;
        let mut notes = Notes {
            limit,
            exchanges: Vec::new(),
            steps: Vec::new(),
            count: 0,
            edges: BTreeMap::new(),
            sure: Vec::new(),
        };
        let envelope = Envelope { key, keys: &keys, properties };
        let route = self.walk_with(vhost, &start, &envelope, None, &mut notes);

        let mut certain = BTreeSet::from([&start]);
        let mut pending = Vec::from([&start]);
        while let Some(from) = pending.pop() {
            let next = notes.edges.get(from).into_iter().flatten();
            pending.extend(next.filter(|name| certain.insert(*name)).copied());
        }
        let sure = notes.sure.iter().filter(|(from, _)| certain.contains(from));
        let sure: BTreeSet<QueueId> = sure.map(|(_, queue)| *queue).collect();
        let queues = route.queues.iter().filter_map(|id| {
            let queue = self.queues.get(*id)?;
            Some(CourseQueue {
                name: queue.name.clone(),
                is_certain: sure.contains(id),
                is_full: self.is_full(*id),
            })
        });
        let no_headers = FieldTable::default();
        let headers = SortedHeaders::new(properties.headers.as_ref().unwrap_or(&no_headers));
        let steps = notes.steps.iter().map(|(from, end, by)| {
            let (bindings, has_more) = self.bindings_of(vhost, from, *end, *by, &keys, &headers);
            CourseStep {
                source: (*from).clone(),
                end: self.course_end(*end),
                by: (*by).into(),
                is_certain: *by != StepBy::Chance && certain.contains(from),
                bindings,
                has_more_bindings: has_more,
            }
        });
        Ok(Course {
            keys: keys.clone(),
            exchanges: notes.exchanges.iter().map(|one| self.exchange_told(vhost, one)).collect(),
            steps: steps.collect(),
            steps_count: notes.count,
            queues: queues.take(limit).collect(),
            queues_count: route.queues.len() as u64,
            replies_count: route.replies.len() as u64,
            delay_ms: delay::of(properties),
        })
    }

    fn course_end(&self, end: StepEnd<'_>) -> CourseEnd {
        match end {
            StepEnd::Queue(id) => {
                let queue = self.queues.get(id).map(|queue| queue.name.clone());
                CourseEnd::Queue(queue.unwrap_or_default())
            }
            StepEnd::Exchange(name) => CourseEnd::Exchange(name.clone()),
            StepEnd::Reply => CourseEnd::Reply,
        }
    }

    /// The bindings for whose sake a step is taken, and whether there may be more of them.
    fn bindings_of(
        &self,
        vhost: VhostId,
        from: &ShortStr,
        end: StepEnd<'_>,
        by: StepBy,
        keys: &[ShortStr],
        headers: &SortedHeaders<'_>,
    ) -> (Vec<CourseBinding>, bool) {
        let none = (Vec::new(), false);
        if matches!(by, StepBy::QueueName | StepBy::Alternate) {
            return none;
        }
        let host = self.host(vhost);
        let incoming = match end {
            StepEnd::Queue(id) => self.queues.get(id).map(|queue| &queue.incoming),
            StepEnd::Exchange(name) => host.exchanges.get(name).map(|one| &one.incoming),
            StepEnd::Reply => None,
        };
        let (Some(incoming), Some(source)) = (incoming, host.exchanges.get(from)) else {
            return none;
        };
        let all = incoming.range(binding::Incoming::first_of(from)..);
        let all = all.take_while(|one| one.source == *from);
        let (mut bindings, mut has_more) = (Vec::new(), false);
        for (looked_at, one) in all.enumerate() {
            if looked_at == BINDINGS_LOOKED_AT || bindings.len() == BINDINGS_TOLD {
                has_more = true;
                break;
            }
            if source.takes_by(&one.binding, keys, headers) {
                let (key, arguments) = (one.binding.key.clone(), one.binding.arguments());
                bindings.push(CourseBinding { key, arguments });
            }
        }
        (bindings, has_more)
    }
}

impl From<StepBy> for CourseBy {
    fn from(by: StepBy) -> Self {
        match by {
            StepBy::Bindings => Self::Bindings,
            StepBy::QueueName => Self::QueueName,
            StepBy::Hash => Self::Hash,
            StepBy::Chance => Self::Chance,
            StepBy::Alternate => Self::Alternate,
        }
    }
}
