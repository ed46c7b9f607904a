//! Explains to people why a handshake failed: what is wrong, and the likely fix.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Returns the `error` of a handshake with its reason in words.
pub fn explained(error: &io::Error) -> io::Error {
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let reason = match told {
        Some(told) => reason(told),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the other side closed the connection during the handshake: does it speak TLS?".to_owned()
        }
        None => error.to_string(),
    };
    io::Error::new(error.kind(), format!("TLS: {reason}"))
}

fn reason(error: &Error) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, Revoked,
        UnknownIssuer, UnknownRevocationStatus,
    };
    let way_out = match error {
        Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "name the file of its authority in `tls.ca`; without one it is trusted as this system trusts"
        }
        Error::InvalidCertificate(Expired | ExpiredContext { .. }) => "it must be renewed there",
        Error::InvalidCertificate(NotValidForNameContext { expected, presented }) => {
            let expected = expected.to_str();
            // rustls writes names as `DnsName("a.example")`.
            let presented = presented.join(", ").replace('"', "");
            return format!(
                "invalid peer certificate: NotValidForName: it is for {presented}, and not for {expected}: set `tls.name` \
                 if it is that of the nodes"
            );
        }
        Error::InvalidCertificate(NotValidForName) => "set `tls.name` if it is that of the nodes",
        Error::InvalidCertificate(Revoked) => "its authority has taken it back",
        Error::InvalidCertificate(UnknownRevocationStatus) => {
            "no list of its authority is in the file of revoked certificates"
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => "set `tls.cert` and `tls.key`",
        Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::BadCertificate) => {
            "the other side does not take our certificate"
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "the other side speaks no TLS",
        _ => return error.to_string(),
    };
    format!("{error}: {way_out}")
}
