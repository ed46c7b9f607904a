//! Makes a connection to a Valkey or Redis ready: greets it, authenticates, and selects the database.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::config::NodeAuth;
use crate::protocol::resp::value::{self, Value};
use crate::protocol::resp::words::write_words;
use crate::protocol::resp::{greeting, script};

/// The maximum size of the answers to one question in bytes.
const MAX_ANSWER: usize = 256 << 10;

/// Greets the server at the other end of `stream`, as the user `auth` if that is set, and selects `database`.
///
/// # Errors
/// [`ErrorKind::Unsupported`] with the reason if it is not a server that can be used,
/// [`ErrorKind::PermissionDenied`] if it refuses the user, and those of [`exchange`].
pub async fn greet(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    database: u32,
    auth: Option<&NodeAuth>,
) -> io::Result<()> {
    let login = auth.map(|auth| (auth.user.as_str(), auth.password.expose()));
    let mut words = Vec::new();
    greeting::write(login, &mut |bytes| words.extend_from_slice(bytes));
    let answer = exchange(stream, &words, 1).await?.pop();
    let answer = answer.expect("one was asked for");
    let is_denied = matches!(&answer, Value::Error(error) if is_denial(error));
    greeting::read(&answer).map_err(|reason| {
        let kind = if is_denied {
            ErrorKind::PermissionDenied
        } else {
            ErrorKind::Unsupported
        };
        io::Error::new(kind, reason)
    })?;
    if database == 0 {
        return Ok(());
    }
    match ask(stream, &[b"SELECT", database.to_string().as_bytes()]).await? {
        Value::Text(_) => Ok(()),
        Value::Error(error) => Err(unsupported(format!("it has no database {database}: {error}"))),
        _ => Err(unexpected("SELECT")),
    }
}

/// Loads the script.
///
/// # Errors
/// The server's refusal, and those of [`exchange`].
pub async fn load_script(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    match ask(stream, &[b"SCRIPT", b"LOAD", script::BODY.as_bytes()]).await? {
        Value::Text(digest) if digest == script::DIGEST.as_bytes() => Ok(()),
        Value::Error(error) => Err(unsupported(format!("it does not load the script: {error}"))),
        _ => Err(unexpected("SCRIPT LOAD")),
    }
}

/// Sends a command of these `words` and returns the answer.
///
/// # Errors
/// Those of [`exchange`].
pub async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), words: &[&[u8]]) -> io::Result<Value> {
    let mut command = Vec::new();
    write_words(words, &mut |bytes| command.extend_from_slice(bytes));
    let answer = exchange(stream, &command, 1).await?.pop();
    Ok(answer.expect("one was asked for"))
}

/// Sends `commands` and returns the answers, of which there are `count`. Nothing else may be outstanding on `stream`.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if the answers are none, [`ErrorKind::UnexpectedEof`] if the server closes the connection,
/// and the errors of reading and writing.
pub async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    commands: &[u8],
    count: usize,
) -> io::Result<Vec<Value>> {
    stream.write_all(commands).await?;
    stream.flush().await?;
    let (mut answers, mut bytes) = (Vec::new(), Vec::new());
    let mut room = [0; 4096];
    while answers.len() < count {
        match value::read(&bytes) {
            Err(_) => return Err(unexpected("a command")),
            Ok(Some((answer, length))) => {
                answers.push(answer);
                bytes.drain(..length);
                continue;
            }
            Ok(None) if bytes.len() > MAX_ANSWER => return Err(unexpected("a command")),
            Ok(None) => {}
        }
        match stream.read(&mut room).await? {
            0 => return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed the connection")),
            n => bytes.extend_from_slice(&room[..n]),
        }
    }
    match bytes.is_empty() {
        true => Ok(answers),
        false => Err(unexpected("a command")),
    }
}

/// The error of an answer that no server gives to `question`.
pub fn unexpected(question: &str) -> io::Error {
    let reason = format!("unexpected answer to {question}: it is no Valkey or Redis");
    io::Error::new(ErrorKind::InvalidData, reason)
}

fn unsupported(reason: String) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, reason)
}

fn is_denial(error: &str) -> bool {
    ["NOAUTH", "WRONGPASS", "NOPERM"]
        .iter()
        .any(|word| error.starts_with(word))
}
