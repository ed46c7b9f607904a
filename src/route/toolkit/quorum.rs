//! Decides when a write to several replicas is done, and what its reply is.

use crate::config::Writes;
use crate::protocol::Reply;
use crate::protocol::operation::Operation;
use crate::route::toolkit::race::Race;
use crate::route::toolkit::reply::{is_error, is_miss, without_cas};

/// A write, and the replies of the replicas so far.
#[derive(Debug)]
pub struct QuorumWrite {
    replicas: usize,
    until: Writes,
    /// Whether a replica that had the key counts for more than one that missed it: true for a delete or a
    /// touch.
    prefers_hits: bool,
    /// With the index of the replica, in the order of arrival.
    replies: Vec<(usize, Reply)>,
}

impl QuorumWrite {
    /// Returns a write to this number of replicas, done as `until` says.
    pub fn new(operation: Operation, replicas: usize, until: Writes) -> QuorumWrite {
        QuorumWrite {
            replicas,
            until,
            prefers_hits: matches!(operation, Operation::Delete | Operation::Touch),
            replies: Vec::new(),
        }
    }

    /// Takes the reply of the replica with this index.
    pub fn take(&mut self, index: usize, reply: Reply) {
        self.replies.push((index, of_replica(index, reply)));
    }

    /// Takes replies from `race` until the write is done, or cannot be done any more.
    pub async fn settle(mut self, mut race: Race) -> Reply {
        while !self.is_settled() {
            let Some((index, reply)) = race.next().await else {
                break;
            };
            self.take(index, reply);
        }
        self.answer()
    }

    /// The number of replicas that must have done it.
    fn needed(&self) -> usize {
        match self.until {
            Writes::All => self.replicas,
            Writes::Majority => self.replicas / 2 + 1,
            Writes::First | Writes::Async => 1,
        }
    }

    fn done(&self) -> usize {
        self.replies.iter().filter(|(_, reply)| !is_error(reply)).count()
    }

    fn is_settled(&self) -> bool {
        let errors = self.replies.len() - self.done();
        match self.until {
            Writes::All => self.replies.len() == self.replicas,
            Writes::Async => self.replies.iter().any(|(index, _)| *index == 0),
            Writes::Majority | Writes::First => {
                self.done() >= self.needed() || errors > self.replicas - self.needed()
            }
        }
    }

    /// Returns the reply of a settled write.
    fn answer(mut self) -> Reply {
        self.replies.sort_by_key(|(index, _)| *index);
        let is_done = |reply: &Reply| !is_error(reply);
        let is_good = match self.until {
            Writes::Async => is_done(&self.replies[0].1),
            _ => self.done() >= self.needed(),
        };
        let mut replies = self.replies.into_iter().map(|(_, reply)| reply);
        let chosen = match is_good {
            false => replies.find(is_error),
            true => {
                let mut done = replies.filter(is_done);
                let first = done.next();
                match first {
                    Some(first) if self.prefers_hits && is_miss(&first) => {
                        Some(done.find(|reply| !is_miss(reply)).unwrap_or(first))
                    }
                    first => first,
                }
            }
        };
        chosen.expect("what is settled has a reply")
    }
}

/// Returns `reply` for the client: cas ids of any replica but the first are replaced by one that never
/// matches.
pub fn of_replica(index: usize, reply: Reply) -> Reply {
    if index == 0 { reply } else { without_cas(reply) }
}

#[cfg(test)]
mod tests {
    use crate::protocol::{Command, Failure, Reply};
    use crate::route::testing::{Fake, ask, run};

    const BROKEN: Reply = Reply::Failed(Failure::Timeout);

    /// Returns the reply to `command` after the replies of these replicas, in this order, or `None` if
    /// there is none yet.
    async fn answered(write: &str, command: Command, replies: &[(&str, Reply)]) -> Option<Reply> {
        let route = format!("{{replicate: {{to: [a, b, c], write: {write}}}}}");
        let fake = Fake::new(&route, |_, _| None);
        let answer = fake.ask(&ask(command, "k"));
        for (pool, reply) in replies {
            fake.answer(pool, reply.clone());
        }
        let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), answer);
        in_time.await.ok()
    }

    #[test]
    fn a_write_is_answered_when_it_is_done_or_cannot_be_done_any_more() {
        let done = Reply::Done;
        let cases = [
            ("all", vec![("a", done.clone()), ("b", done.clone())], None),
            (
                "all",
                vec![("b", BROKEN), ("a", done.clone()), ("c", done.clone())],
                Some(BROKEN),
            ),
            (
                "all",
                vec![("c", done.clone()), ("b", done.clone()), ("a", done.clone())],
                Some(Reply::Done),
            ),
            ("majority", vec![("c", done.clone())], None),
            ("majority", vec![("c", done.clone()), ("a", BROKEN)], None),
            (
                "majority",
                vec![("c", done.clone()), ("b", done.clone())],
                Some(Reply::Done),
            ),
            ("majority", vec![("c", BROKEN), ("a", BROKEN)], Some(BROKEN)),
            ("first", vec![("b", BROKEN), ("a", BROKEN)], None),
            (
                "first",
                vec![("b", BROKEN), ("c", done.clone())],
                Some(Reply::Done),
            ),
            (
                "first",
                vec![("b", BROKEN), ("c", BROKEN), ("a", BROKEN)],
                Some(BROKEN),
            ),
            ("async", vec![("b", done.clone()), ("c", done.clone())], None),
            ("async", vec![("b", done.clone()), ("a", BROKEN)], Some(BROKEN)),
            ("async", vec![("a", done.clone())], Some(Reply::Done)),
        ];
        run(async move {
            for (write, replies, expected) in cases {
                let answer = answered(write, Command::Set, &replies).await;
                assert_eq!(answer, expected, "{write} {replies:?}");
            }
        });
    }

    #[test]
    fn the_first_in_the_list_speaks_for_all_but_a_delete_found_what_any_had() {
        let number = |number| Reply::Number(number);
        let cases = [
            (
                Command::Incr,
                vec![("b", number(2)), ("c", number(3)), ("a", number(1))],
                number(1),
            ),
            (
                Command::Incr,
                vec![("b", number(2)), ("c", number(3)), ("a", Reply::NotFound)],
                Reply::NotFound,
            ),
            (
                Command::Delete,
                vec![("b", Reply::Done), ("c", Reply::NotFound), ("a", Reply::NotFound)],
                Reply::Done,
            ),
            (
                Command::Delete,
                vec![
                    ("b", Reply::NotFound),
                    ("c", Reply::NotFound),
                    ("a", Reply::NotFound),
                ],
                Reply::NotFound,
            ),
        ];
        run(async move {
            for (command, replies, expected) in cases {
                let answer = answered("all", command, &replies).await;
                assert_eq!(answer, Some(expected), "{command:?} {replies:?}");
            }
        });
    }
}
