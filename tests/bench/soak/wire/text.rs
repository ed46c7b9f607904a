//! Requests and answers in classic text and in meta commands.

use anyhow::{Context, Result, bail};

use super::{Answer, Ask, Found, Reader, exact, line};

pub fn write_classic(ask: &Ask, out: &mut Vec<u8>) {
    match ask {
        Ask::Get(keys) => put(out, &["get ", &keys.join(" ")]),
        Ask::Set(key, value) => put_value(out, &format!("set {key} 0 0 {}", value.len()), value),
        Ask::QuietSet(key, value) => {
            put_value(out, &format!("set {key} 0 0 {} noreply", value.len()), value);
        }
        Ask::Delete(key) => put(out, &["delete ", key]),
        Ask::Count(key) => put(out, &["incr ", key, " 1"]),
        Ask::Create(key) => put_value(out, &format!("add {key} 0 0 1"), b"0"),
    }
}

pub fn write_meta(ask: &Ask, out: &mut Vec<u8>) {
    match ask {
        Ask::Get(keys) if keys.len() == 1 => put(out, &["mg ", &keys[0], " k v"]),
        Ask::Get(keys) => {
            for key in keys {
                put(out, &["mg ", key, " k v q"]);
            }
            put(out, &["mn"]);
        }
        Ask::Set(key, value) => put_value(out, &format!("ms {key} {}", value.len()), value),
        Ask::QuietSet(key, value) => {
            put_value(out, &format!("ms {key} {} q", value.len()), value);
            put(out, &["mn"]);
        }
        Ask::Delete(key) => put(out, &["md ", key]),
        Ask::Count(key) => put(out, &["ma ", key, " v"]),
        Ask::Create(key) => put_value(out, &format!("ms {key} 1 ME"), b"0"),
    }
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    out.extend_from_slice(parts.concat().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn put_value(out: &mut Vec<u8>, line: &str, value: &[u8]) {
    put(out, &[line]);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

pub async fn read_classic(ask: &Ask, reader: &mut Reader) -> Result<Answer> {
    if let Ask::QuietSet(..) = ask {
        return Ok(Answer::Silence);
    }
    if let Ask::Get(keys) = ask {
        let mut found = Found::new(keys);
        loop {
            let line = line(reader).await?;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["END"] => return Ok(found.answer()),
                ["VALUE", key, "0", length] => {
                    let value = value(reader, length).await?;
                    found.add(key.as_bytes(), value)?;
                }
                _ => bail!("answered {line:?}"),
            }
        }
    }
    let line = line(reader).await?;
    Ok(match (ask, line.as_str()) {
        _ if line.starts_with("SERVER_ERROR ") => Answer::Failed,
        (Ask::Set(..) | Ask::Create(_), "STORED") | (Ask::Delete(_), "DELETED") => Answer::Done,
        (Ask::Create(_), "NOT_STORED") => Answer::NotStored,
        (Ask::Delete(_) | Ask::Count(_), "NOT_FOUND") => Answer::NotFound,
        (Ask::Count(_), number) => Answer::Number(number.parse().context(line)?),
        _ => bail!("answered {line:?}"),
    })
}

pub async fn read_meta(ask: &Ask, reader: &mut Reader) -> Result<Answer> {
    match ask {
        Ask::Get(keys) => {
            let mut found = Found::new(keys);
            loop {
                let line = line(reader).await?;
                match line.split(' ').collect::<Vec<_>>()[..] {
                    ["MN"] if keys.len() > 1 => return Ok(found.answer()),
                    ["EN", key] if keys.len() == 1 && key[1..] == keys[0] => return Ok(found.answer()),
                    ["VA", length, key] if key.starts_with('k') => {
                        let value = value(reader, length).await?;
                        found.add(&key.as_bytes()[1..], value)?;
                    }
                    _ => bail!("answered {line:?}"),
                }
                if keys.len() == 1 {
                    return Ok(found.answer());
                }
            }
        }
        Ask::QuietSet(..) => {
            let mut answer = Answer::Silence;
            loop {
                let line = line(reader).await?;
                match line.as_str() {
                    "MN" => return Ok(answer),
                    _ if line.starts_with("SERVER_ERROR ") => answer = Answer::Failed,
                    _ => bail!("answered {line:?}"),
                }
            }
        }
        _ => {}
    }
    let line = line(reader).await?;
    Ok(match (ask, line.as_str()) {
        _ if line.starts_with("SERVER_ERROR ") => Answer::Failed,
        (Ask::Set(..) | Ask::Create(_) | Ask::Delete(_), "HD") => Answer::Done,
        (Ask::Create(_), "NS") => Answer::NotStored,
        (Ask::Delete(_) | Ask::Count(_), "NF") => Answer::NotFound,
        (Ask::Count(_), head) if head.starts_with("VA ") => {
            let number = value(reader, &head[3..]).await?;
            Answer::Number(String::from_utf8(number)?.trim_end().parse().context(line)?)
        }
        _ => bail!("answered {line:?}"),
    })
}

/// A value of `length` bytes, behind which its line ends.
async fn value(reader: &mut Reader, length: &str) -> Result<Vec<u8>> {
    let length: usize = length
        .parse()
        .with_context(|| format!("{length:?} is no length"))?;
    let mut value = exact(reader, length + 2).await?;
    if !value.ends_with(b"\r\n") {
        bail!("a value without its end: {}", value[length..].escape_ascii());
    }
    value.truncate(length);
    Ok(value)
}
