//! Settings that a reload leaves as they are, because they require a restart.

use tracing::warn;

use crate::config::{Admin, Config, MissedWrites};

/// Returns `next` without the changes that require a restart, which keep the values of `current`; logs
/// them.
pub fn without_restart(next: Config, current: &Config) -> (Config, Vec<&'static str>) {
    let mut requires_restart = Vec::new();
    if next.workers != current.workers {
        let (running, wanted) = (current.workers, next.workers);
        warn!(running, wanted, "`workers` needs a restart");
        requires_restart.push("workers");
    }
    if next.admin.bind != current.admin.bind {
        warn!(running = %current.admin.bind, wanted = %next.admin.bind, "`admin.bind` needs a restart");
        requires_restart.push("admin.bind");
    } else if next.admin.access != current.admin.access {
        warn!("`admin.mode` and `admin.group` need a restart");
        requires_restart.push("admin.mode");
    }
    if next.missed_writes.dir != current.missed_writes.dir {
        let [running, wanted] = [current, &next].map(|config| format!("{:?}", config.missed_writes.dir));
        warn!(running, wanted, "`missed_writes.dir` needs a restart");
        requires_restart.push("missed_writes.dir");
    }
    if next.takeover != current.takeover {
        let [running, wanted] = [current, &next].map(|config| format!("{:?}", config.takeover));
        warn!(running, wanted, "`takeover` needs a restart");
        requires_restart.push("takeover");
    }
    (restart_kept(next, current), requires_restart)
}

/// Returns `next` with what no file changes from `current`: settings that require a restart, and discovered
/// nodes.
pub fn restart_kept(mut next: Config, current: &Config) -> Config {
    next.keep_discovered(current);
    Config {
        workers: current.workers,
        admin: Admin {
            bind: current.admin.bind.clone(),
            access: current.admin.access.clone(),
            ..next.admin
        },
        missed_writes: MissedWrites {
            dir: current.missed_writes.dir.clone(),
            ..next.missed_writes
        },
        takeover: current.takeover.clone(),
        ..next
    }
}
