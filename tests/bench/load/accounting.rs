//! What the kernel says a process used: CPU time from `/proc/PID/stat`, memory from `/proc/PID/status`. CPU time
//! covers all threads of the process, ended ones too.

use std::fs;

use anyhow::{Context, Result};

/// The unit of the times in `/proc/PID/stat` (proc_pid_stat(5)): USER_HZ, 100 on every Linux that Rust runs on
/// but for Alpha and IA-64.
const TICK_MICROS: u64 = 10_000;

/// CPU time in microseconds. The kernel counts the sum exactly and splits it by sampling at its clock tick.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    pub user: u64,
    pub system: u64,
}

impl Cpu {
    /// Both halves together.
    pub fn total(self) -> u64 {
        self.user + self.system
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Cpu) -> Cpu {
        Cpu {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }

    /// What all of `pids` used since they started.
    ///
    /// # Errors
    /// A process that is gone.
    pub fn of(pids: &[u32]) -> Result<Cpu> {
        let mut sum = Cpu::default();
        for pid in pids {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
                .with_context(|| format!("process {pid} is gone"))?;
            let (user, system) = times(&stat).with_context(|| format!("/proc/{pid}/stat reads {stat:?}"))?;
            sum.user += user * TICK_MICROS;
            sum.system += system * TICK_MICROS;
        }
        Ok(sum)
    }
}

/// Resident memory of a process in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub resident_kib: u64,
    pub peak_kib: u64,
}

impl Memory {
    /// What `pid` holds now, and the most it ever held.
    ///
    /// # Errors
    /// A process that is gone.
    pub fn of(pid: u32) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid} is gone"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
                .with_context(|| format!("/proc/{pid}/status has no {name}"))
        };
        Ok(Memory {
            resident_kib: field("VmRSS:")?,
            peak_kib: field("VmHWM:")?,
        })
    }
}

/// utime and stime in ticks, the 14th and 15th field. The second field, a name in parentheses, may hold anything.
fn times(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
