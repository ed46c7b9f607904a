//! Relays that encrypt or decrypt: plain clients of a listener with TLS, and plain nodes behind TLS.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificates::Pair;

/// What clients with this trust make handshakes with.
pub fn client_config(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let pem = fs::read(ca).expect("readable");
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.expect("PEM")).expect("an authority");
    }
    Arc::new(
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// What a server that shows `pair` makes handshakes with.
pub fn server_config(pair: &Pair) -> Arc<ServerConfig> {
    let pem = fs::read(&pair.cert).expect("readable");
    let chain = CertificateDer::pem_slice_iter(&pem).map(|certificate| certificate.expect("PEM"));
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.collect(), key);
    Arc::new(server.expect("a pair"))
}

/// Relays plain connections, encrypted, to `port`, where `localhost` is trusted by `ca`. Returns its own port.
pub fn encrypt(ca: &Path, port: u16) -> u16 {
    let connector = TlsConnector::from(client_config(ca));
    relay(move |plain| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            stream.set_nodelay(true).ok()?;
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = connector.connect(name, stream).await.ok()?;
            copy(plain, stream).await
        }
    })
}

/// Relays encrypted connections, to which `pair` is shown, as plain ones to `address`. Returns its own port.
pub fn decrypt(pair: &Pair, address: String) -> u16 {
    let acceptor = TlsAcceptor::from(server_config(pair));
    relay(move |encrypted| {
        let (acceptor, address) = (acceptor.clone(), address.clone());
        async move {
            let stream = acceptor.accept(encrypted).await.ok()?;
            let plain = TcpStream::connect(address).await.ok()?;
            plain.set_nodelay(true).ok()?;
            copy(stream, plain).await
        }
    })
}

async fn copy(
    mut one: impl AsyncRead + AsyncWrite + Unpin,
    mut other: impl AsyncRead + AsyncWrite + Unpin,
) -> Option<()> {
    copy_bidirectional(&mut one, &mut other).await.ok().map(drop)
}

/// Serves each connection by `serve`, on a thread that ends with the tests.
fn relay<F: Future<Output = Option<()>> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("registered");
            while let Ok((stream, _)) = listener.accept().await {
                let _nodelay = stream.set_nodelay(true);
                tokio::spawn(serve(stream));
            }
        });
    });
    port
}
