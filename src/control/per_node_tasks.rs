//! Runs one task for each memcached node, for as long as the running snapshot contains it.
//!
//! The task of a node that a reload adds starts at once; the task of a node that a reload removes is
//! dropped at its next `await`. The caller decides what the tasks do.

use std::future::Future;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use crate::node::{Kind, Node, Remote};
use crate::state::State;

/// Runs `task` for every remote node, until this future is dropped.
pub async fn follow<T>(state: Arc<State>, task: impl Fn(Arc<Node>) -> T)
where
    T: Future<Output = ()> + Send + 'static,
{
    let mut changed = state.changed.subscribe();
    let mut tasks = JoinSet::new();
    let mut running: Vec<(Arc<Node>, AbortHandle)> = Vec::new();
    loop {
        let nodes = state.snapshot.load().nodes.clone();
        running.retain(|(node, task)| {
            let stays = nodes.iter().any(|other| Arc::ptr_eq(other, node));
            if !stays {
                task.abort();
            }
            stays
        });
        for node in nodes.into_iter().filter(|node| remote(node).is_some()) {
            if !running.iter().any(|(other, _)| Arc::ptr_eq(other, &node)) {
                let handle = tasks.spawn(task(node.clone()));
                running.push((node, handle));
            }
        }
        while tasks.try_join_next().is_some() {}
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// The remote state of `node`; `None` for an embedded node.
pub fn remote(node: &Node) -> Option<&Remote> {
    match &node.kind {
        Kind::Remote(remote) => Some(remote),
        Kind::Embedded(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::control::testing::{self, eventually};
    use crate::snapshot::Snapshot;

    /// Records which nodes have a task now.
    struct Guard(Arc<Mutex<Vec<String>>>, String);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.lock().unwrap().retain(|label| *label != self.1);
        }
    }

    #[tokio::test]
    async fn tasks_begin_and_end_with_their_nodes() {
        let state = testing::state(
            "pools: {main: {nodes: ['127.0.0.1:1', '127.0.0.1:2', {name: e, embedded: 1MiB}]}}",
        );
        let alive = Arc::new(Mutex::new(Vec::new()));
        let record = alive.clone();
        tokio::spawn(follow(state.clone(), move |node| {
            record.lock().unwrap().push(node.label.clone());
            let guard = Guard(record.clone(), node.label.clone());
            async move {
                let _guard = guard;
                std::future::pending::<()>().await
            }
        }));
        eventually("both memcached nodes have a task", || {
            *alive.lock().unwrap() == ["127.0.0.1:1", "127.0.0.1:2"]
        })
        .await;
        let next = testing::config("pools: {main: {nodes: ['127.0.0.1:2', '127.0.0.1:3']}}");
        state.publish(Snapshot::build(next, Some(&state.snapshot.load())));
        eventually("the tasks follow the snapshot", || {
            *alive.lock().unwrap() == ["127.0.0.1:2", "127.0.0.1:3"]
        })
        .await;
    }
}
