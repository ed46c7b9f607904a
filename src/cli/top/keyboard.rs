//! The keys that are pressed while `ringway top` runs on a terminal.

use std::io::{IsTerminal, Read, stdin, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// A terminal that passes each key on as it is pressed; as before once this is dropped.
#[derive(Debug)]
pub struct Keyboard {
    before: Termios,
    keys: Receiver<u8>,
}

impl Keyboard {
    /// Returns the keyboard; `None` if stdin or stdout is no terminal.
    pub fn open() -> Option<Keyboard> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        // Control-C comes as a key, too, so that the terminal is as before at the end.
        raw.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        let (sender, keys) = channel();
        // It ends with the process: a read cannot be interrupted.
        thread::spawn(move || {
            let mut bytes = stdin().lock().bytes();
            while let Some(Ok(key)) = bytes.next()
                && sender.send(key).is_ok()
            {}
        });
        Some(Keyboard { before, keys })
    }

    /// Waits for a key; `None` if none is pressed in this time.
    pub fn wait(&self, time: Duration) -> Option<u8> {
        match self.keys.recv_timeout(time) {
            Ok(key) => Some(key),
            Err(RecvTimeoutError::Timeout) => None,
            // The terminal is gone, and no key comes any more.
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(time);
                None
            }
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to restore.
        let _restored = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
