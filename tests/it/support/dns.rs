//! Real name servers with the records of a test: dnsmasq, and unbound for what dnsmasq does not do.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::program;
use super::ringway::{free_port, wait_for};

/// A name server on a port of 127.0.0.1.
pub struct Dns {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Dns {
    /// dnsmasq with these lines of its configuration. It knows all of `test.`, and asks nobody.
    pub fn start(lines: &[String]) -> Dns {
        let mut dns = Dns::new();
        dns.set(lines);
        dns
    }

    /// unbound with these lines of its section `server`.
    pub fn start_unbound(lines: &[&str]) -> Dns {
        let mut dns = Dns::new();
        let port = dns.port;
        let directory = dns.dir.path().display();
        let text = format!(
            "server:\n interface: 127.0.0.1@{port}\n do-daemonize: no\n chroot: \"\"\n username: \"\"\n \
             directory: \"{directory}\"\n pidfile: \"\"\n use-syslog: no\n module-config: \"iterator\"\n \
             do-not-query-localhost: no\n num-threads: 1\n so-reuseport: no\n {}\n\
             remote-control:\n control-enable: no\n",
            lines.join("\n ")
        );
        let file = dns.write(&text);
        dns.run(Command::new("unbound").args(["-d", "-c", &file]));
        dns
    }

    fn new() -> Dns {
        Dns {
            dir: tempfile::tempdir().expect("a directory"),
            port: free_port(),
            child: None,
        }
    }

    /// Its address, as `resolver` has it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// dnsmasq again, with other lines.
    pub fn set(&mut self, lines: &[String]) {
        self.stop();
        let port = self.port;
        let text = format!(
            "port={port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nlocal=/test/\n{}\n",
            lines.join("\n")
        );
        let file = self.write(&text);
        self.run(Command::new("dnsmasq").args([
            "--keep-in-foreground",
            "--user=root",
            "--group=root",
            "--pid-file=",
            &format!("--conf-file={file}"),
        ]));
    }

    /// Ends the server.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended_before = child.kill();
            let _status = child.wait();
        }
    }

    fn write(&self, text: &str) -> String {
        let path = self.dir.path().join("server.conf");
        fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    /// Starts the server, and waits until it listens.
    fn run(&mut self, command: &mut Command) {
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut child = program::start(command.env("PATH", path).stdin(Stdio::null()));
        wait_for("the name server", || {
            assert!(
                child.try_wait().expect("a child").is_none(),
                "the name server ended"
            );
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        self.child = Some(child);
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop();
    }
}
