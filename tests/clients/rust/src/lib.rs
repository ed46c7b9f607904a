//! `async_memcached::Client` for programs that wait: each call runs to its end.

use std::cell::RefCell;
use std::time::Duration;

use async_memcached::{Client, Error};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// The library has no timeout of its own.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client that connects again if the call before left its connection closed.
pub struct Blocking {
    address: String,
    runtime: Runtime,
    client: RefCell<Client>,
}

impl Blocking {
    pub fn connect(address: &str) -> Result<Blocking, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let address = format!("tcp://{address}");
        let client = RefCell::new(runtime.block_on(Client::new(&address))?);
        Ok(Blocking {
            address,
            runtime,
            client,
        })
    }

    pub fn call<T>(&self, call: impl AsyncFnOnce(&mut Client) -> Result<T, Error>) -> Result<T, Error> {
        let mut client = self.client.borrow_mut();
        self.runtime.block_on(async {
            if client.is_closed() {
                *client = Client::new(&self.address).await?;
            }
            timeout(TIMEOUT, call(&mut client))
                .await
                .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
        })
    }
}
