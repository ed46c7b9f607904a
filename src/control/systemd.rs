//! Tells systemd how the process is (sd_notify): ready, reloading, stopping, or in another process now.
//!
//! Only if systemd asks for it, by `Type=notify` or `notify-reload`. What systemd does not hear is lost: the process
//! does not depend on it.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// The process accepts clients.
pub fn ready() {
    notify("READY=1\nSTATUS=serving");
}

/// The process is the main one of its service from now on.
pub fn took_over() {
    notify(&format!("MAINPID={}\nSTATUS=taking over", std::process::id()));
}

/// A reload begins; [`reloaded`] must follow.
pub fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
}

/// A reload is done; `refusal` says why the configuration was refused, if it was.
pub fn reloaded(refusal: Option<&str>) {
    let status = match refusal.and_then(|text| text.lines().next()) {
        Some(refusal) => format!("serving; the last configuration was refused: {refusal}"),
        None => "serving".to_owned(),
    };
    notify(&format!("READY=1\nSTATUS={status}"));
}

/// The process ends.
pub fn stopping() {
    notify("STOPPING=1\nSTATUS=draining");
}

fn notify(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    // systemd reads the rest if one of its messages is lost.
    let _is_sent = send(path.as_bytes(), state);
}

fn send(path: &[u8], state: &str) -> io::Result<()> {
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("ringway-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, address) in [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.to_str().unwrap().to_owned(),
            ),
            (
                UnixDatagram::bind_addr(&abstract_address).unwrap(),
                format!("@{name}"),
            ),
        ] {
            send(address.as_bytes(), "READY=1").unwrap();
            let mut bytes = [0; 64];
            let length = socket.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"READY=1");
        }
    }

    #[test]
    fn nothing_that_cannot_be_reached_stops_the_process() {
        assert!(send(b"/nonexistent/notify", "READY=1").is_err());
        assert!(send(b"", "READY=1").is_err());
    }
}
