//! Records of TLS end with requests: what a node gets, record by record. memcached 1.6.18 may wait for ever for the rest of
//! a request whose record has ended.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustls::{ServerConfig, ServerConnection};

use crate::support::certificates::Authority;
use crate::support::ringway::{DEADLINE, Ringway, pool};
use crate::support::tls_relay::server_config;

/// Serves one connection after the other as a node that stores all and has nothing. Sends the text of each record.
fn serve(listener: &TcpListener, config: &Arc<ServerConfig>, records: &Sender<Vec<u8>>) {
    for stream in listener.incoming() {
        let connection = ServerConnection::new(config.clone()).expect("a configuration");
        let (stream, records) = (stream.expect("a connection"), records.clone());
        thread::spawn(move || {
            let _ended = serve_one(connection, stream, &records);
        });
    }
}

fn serve_one(
    mut connection: ServerConnection,
    mut stream: TcpStream,
    records: &Sender<Vec<u8>>,
) -> std::io::Result<()> {
    let mut unanswered = Vec::new();
    loop {
        let mut record = vec![0; 5];
        stream.read_exact(&mut record)?;
        let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
        record.resize(5 + length, 0);
        stream.read_exact(&mut record[5..])?;
        let mut unread = &record[..];
        while !unread.is_empty() {
            connection.read_tls(&mut unread)?;
        }
        let state = connection.process_new_packets().map_err(std::io::Error::other)?;
        let mut text = vec![0; state.plaintext_bytes_to_read()];
        connection.reader().read_exact(&mut text)?;
        if !text.is_empty() {
            unanswered.extend_from_slice(&text);
            records.send(text).expect("the test reads");
        }
        while let Some(length) = request(&unanswered) {
            let answer: &[u8] = match unanswered[0] {
                b's' if unanswered.starts_with(b"set ") => b"STORED\r\n",
                b's' => b"END\r\n",
                _ => b"VERSION 1.6.18\r\n",
            };
            connection.writer().write_all(answer)?;
            unanswered.drain(..length);
        }
        while connection.wants_write() {
            connection.write_tls(&mut stream)?;
        }
    }
}

/// The length of the request at the front of `text`; `None` if it is incomplete.
fn request(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|&byte| byte == b'\n')? + 1;
    let line = std::str::from_utf8(&text[..end]).expect("text");
    let block = match line.strip_prefix("set ") {
        Some(rest) => {
            rest.split_whitespace()
                .nth(3)?
                .parse::<usize>()
                .expect("a length")
                + 2
        }
        None => 0,
    };
    (text.len() >= end + block).then_some(end + block)
}

/// Fails if a record that holds the end of a request ends in the middle of another.
fn check(records: &[Vec<u8>]) {
    let all = records.concat();
    let mut ends = vec![0];
    while let Some(length) = request(&all[*ends.last().expect("it begins with 0")..]) {
        ends.push(ends.last().expect("it begins with 0") + length);
    }
    assert_eq!(ends.last(), Some(&all.len()), "whole requests");
    let mut begin = 0;
    for record in records {
        let end = begin + record.len();
        let has_an_end = ends.iter().any(|&at| begin < at && at < end);
        assert!(
            !has_an_end || ends.contains(&end),
            "a record from {begin} to {end} ends in the middle of a request"
        );
        begin = end;
    }
}

/// Records of `bytes` together, without those of probes.
fn received(records: &Receiver<Vec<u8>>, bytes: usize) -> Vec<Vec<u8>> {
    let is_probe = |record: &Vec<u8>| {
        [&b"version"[..], b"stats"]
            .iter()
            .any(|word| record.starts_with(word))
    };
    let mut found: Vec<Vec<u8>> = Vec::new();
    while found.iter().map(Vec::len).sum::<usize>() < bytes {
        let record = records.recv_timeout(DEADLINE).expect("a record");
        found.extend(Some(record).filter(|record| !is_probe(record)));
    }
    found
}

#[test]
fn no_record_that_ends_a_request_begins_another_that_it_does_not_end() {
    let authority = Authority::new();
    let config = server_config(&authority.pair("node", &["localhost"]));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (sender, records) = channel();
    thread::spawn(move || serve(&listener, &config, &sender));
    let tls = format!("tls: {{ca: {}}}", authority.ca().display());
    let settings = [&*tls, "protocol: classic", "request_timeout: 20s"];
    let ringway = Ringway::start(&pool(&[format!("localhost:{port}")], &settings));
    let sizes = [10, 1000, 4000, 16_384, 16_000, 20_000, 33_000, 1, 200_000];
    let mut client = ringway.client();
    let mut batch = Vec::new();
    for n in 0..400 {
        let size = sizes[n % sizes.len()].min(if n < 20 { usize::MAX } else { 17_000 });
        let value = vec![b'a'; size];
        batch.extend([format!("set key{n} 0 0 {size}\r\n").as_bytes(), &value, b"\r\n"].concat());
    }
    let sent = batch.clone();
    let sender = thread::spawn(move || {
        client.send(&sent);
        for n in 0..400 {
            assert_eq!(client.line(), "STORED", "{n}");
        }
    });
    let sets = received(&records, batch.len());
    sender.join().expect("all is stored");
    assert!(sets.len() > 20, "{} records", sets.len());
    check(&sets);
}
