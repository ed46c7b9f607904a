//! Packets of the binary protocol, as clients write and read them.

use super::client::{Client, shown};

/// A request; its opaque number is its operation code, four times.
pub fn packet(opcode: u8, extras: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let body = extras.len() + key.len() + value.len();
    let mut bytes = header(opcode, key.len() as u16, extras.len() as u8, body as u32);
    bytes.extend_from_slice(extras);
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// The head of a request that announces a key, extras and a body of these lengths.
pub fn header(opcode: u8, key: u16, extras: u8, body: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, opcode];
    bytes.extend(key.to_be_bytes());
    bytes.extend([extras, 0, 0, 0]);
    bytes.extend(body.to_be_bytes());
    bytes.extend([opcode; 4]);
    bytes.extend([0; 8]);
    bytes
}

/// A response as `opcode status key:body`, its extras left out.
pub fn response(client: &mut Client) -> String {
    let head = client.exact(24);
    assert_eq!(
        (head[0], &head[12..16]),
        (0x81, &[head[1]; 4][..]),
        "{}",
        shown(&head)
    );
    let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
    let body = client.exact(length);
    let (key, value) = body[usize::from(head[4])..].split_at(usize::from(head[3]));
    format!("{:02x} {:x} {}:{}", head[1], head[7], shown(key), shown(value))
}
