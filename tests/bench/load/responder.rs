//! Four nodes that cost next to nothing, so that the proxy is what saturates: one thread answers all four addresses
//! from replies that were made beforehand, everything that one read brought by one write. Every key of the workload
//! is there from the start. What is asked, and how it is answered, is the business of `answers`.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

use super::answers::Answers;
use super::dataset::Dataset;

/// Bytes read at once: all that a proxy has sent meanwhile.
const BUFFER: usize = 256 * 1024;

/// Listens on `doors` and answers for the keys of `dataset`; ends only with its process.
///
/// # Errors
/// An address that is taken.
pub fn run(doors: &[SocketAddr], dataset: Dataset) -> Result<()> {
    let dataset = Rc::new(dataset);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        for door in doors {
            let listener = TcpListener::bind(door)
                .await
                .with_context(|| format!("listen on {door}"))?;
            tokio::task::spawn_local(accept(listener, Rc::clone(&dataset)));
        }
        std::future::pending().await
    })
}

async fn accept(listener: TcpListener, dataset: Rc<Dataset>) {
    while let Ok((stream, _)) = listener.accept().await {
        let dataset = Rc::clone(&dataset);
        tokio::task::spawn_local(async move {
            // Whoever breaks off is missed by the generator, which says so.
            let _ = serve(stream, &dataset).await;
        });
    }
}

async fn serve(mut stream: TcpStream, dataset: &Dataset) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answers = Answers::default();
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    let mut replies = Vec::with_capacity(BUFFER);
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        replies.clear();
        let done = answers.answer(&buffer[..filled], dataset, &mut replies);
        buffer.copy_within(done..filled, 0);
        filled -= done;
        stream.write_all(&replies).await?;
    }
}
