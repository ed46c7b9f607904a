//! The floor under every proxy: hands on bytes and parses nothing, with a node connection for each client. A proxy
//! that must find keys, pick nodes and keep replies in order cannot cost less, unless it needs fewer system calls.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

/// Bytes read at once, either way.
const BUFFER: usize = 64 * 1024;

/// Listens on each of `doors` and hands on to the node at the same place in `nodes`; ends only with its process.
///
/// # Errors
/// An address that is taken.
pub fn run(doors: &[SocketAddr], nodes: &[SocketAddr]) -> Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        for (door, node) in doors.iter().zip(nodes) {
            let listener = TcpListener::bind(door)
                .await
                .with_context(|| format!("listen on {door}"))?;
            tokio::task::spawn_local(accept(listener, *node));
        }
        std::future::pending().await
    })
}

async fn accept(listener: TcpListener, node: SocketAddr) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::task::spawn_local(async move {
            // Whoever breaks off is missed by the generator, which says so.
            let _ = relay(client, node).await;
        });
    }
}

async fn relay(mut client: TcpStream, node: SocketAddr) -> std::io::Result<()> {
    let mut node = TcpStream::connect(node).await?;
    client.set_nodelay(true)?;
    node.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut node, BUFFER, BUFFER).await?;
    Ok(())
}
